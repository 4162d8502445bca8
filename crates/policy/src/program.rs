//! One compiled Rego module, run by the virtual machine under a step limit.
//!
//! The machine runs stackless (recursion cannot abort the process) and asks us for every built-in that
//! could be slow or fail: regular expressions come compiled from a table, networks are parsed here.

use std::cell::RefCell;
use std::sync::Arc;

use aegis_model::caps;
use regex::{Regex, RegexBuilder};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::Program as Bytecode;
use regorus::rvm::vm::{ExecutionMode, ExecutionState, RegoVM};
use regorus::{Engine, Value};

use crate::custom::host;

/// Why a module cannot be made into a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the virtual machine refuses the module: {0}")]
pub struct BuildError(String);

/// Why an evaluation gave no value. Never an allow (WALK-3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A host function refused its arguments.
    #[error("`{name}` failed: {why}")]
    Host {
        /// The built-in.
        name: String,
        /// What was wrong, without values of the call.
        why: String,
    },
    /// The virtual machine stopped: too many steps, or a type error.
    #[error("the virtual machine stopped")]
    Machine,
}

/// A program with numbered entry points. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Program {
    bytecode: Arc<Bytecode>,
    patterns: Arc<[Pattern]>,
}

/// A regular expression of the module, next to the very literal that the machine hands us.
#[derive(Debug)]
struct Pattern {
    literal: Arc<str>,
    regex: Regex,
}

/// The built-ins that units ask us for.
pub const UNIT_BUILTINS: &[(&str, usize)] = &[("regex.match", 2), ("net.cidr_contains", 2)];

impl Program {
    /// Compiles `rego` (whose package is `package`, e.g. `aegis.unit.u_1`) with an entry point per rule.
    /// `patterns` are the regular expressions that it matches with, compiled here once.
    pub fn build(
        package: &str,
        rego: &str,
        rules: &[&str],
        builtins: &[(&str, usize)],
        patterns: &[String],
    ) -> Result<Self, BuildError> {
        let refused = |error: String| BuildError(error);
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        engine.add_policy(format!("{package}.rego"), rego.to_owned()).map_err(|e| refused(e.to_string()))?;
        let points: Vec<String> = rules.iter().map(|rule| format!("data.{package}.{rule}")).collect();
        let points: Vec<&str> = points.iter().map(String::as_str).collect();
        let first = points.first().copied().unwrap_or_default();
        let policy = engine.compile_with_entrypoint(&first.into()).map_err(|e| refused(e.to_string()))?;
        let bytecode = Compiler::compile_from_policy_with_host_await(&policy, &points, builtins)
            .map_err(|e| refused(e.to_string()))?;
        if bytecode.instructions.len() > usize::from(u16::MAX) {
            return Err(BuildError("it has more instructions than its jumps can reach".to_owned()));
        }
        let patterns = compile_patterns(&bytecode, patterns)?;
        Ok(Self { bytecode: Arc::new(slim(bytecode)), patterns })
    }

    /// Evaluates entry point `point`. `Value::Undefined` is a normal result.
    ///
    /// # Errors
    /// A host function refused, or the machine stopped.
    pub fn run(&self, point: usize, input: Value) -> Result<Value, EvaluationError> {
        let mut machine = MACHINES.with_borrow_mut(|machines| machines.take(&self.bytecode));
        let result = self.run_on(&mut machine.vm, point, input)?;
        // Only a machine that ended well goes back: after an error or a panic it is half way through a call.
        MACHINES.with_borrow_mut(|machines| machines.put_back(machine));
        Ok(result)
    }

    fn run_on(&self, machine: &mut RegoVM, point: usize, input: Value) -> Result<Value, EvaluationError> {
        let mut meter = host::Meter::default();
        machine.set_input(input);
        let mut result = machine.execute_entry_point_by_index(point);
        while let ExecutionState::Suspended { .. } = machine.execution_state() {
            let answer = self.answer(machine, &mut meter)?;
            result = machine.resume(Some(answer));
        }
        machine.set_input(Value::Undefined);
        result.map_err(|_| EvaluationError::Machine)
    }

    /// Answers the built-in that the machine waits for. The meter bounds what the step limit does not see: how
    /// large the values are that one step touches.
    fn answer(&self, machine: &RegoVM, meter: &mut host::Meter) -> Result<Value, EvaluationError> {
        let name = machine.get_host_await_identifier().and_then(|name| name.as_string().ok());
        let arguments = machine.get_host_await_argument().and_then(|arguments| arguments.as_array().ok());
        let (Some(name), Some(arguments)) = (name, arguments) else {
            return Err(EvaluationError::Machine);
        };
        let failed =
            |error: host::HostError| EvaluationError::Host { name: name.to_string(), why: error.to_string() };
        if &**name == "regex.match"
            && let [Value::String(pattern), Value::String(text)] = arguments.as_slice()
            && let Some(known) = self.patterns.iter().find(|known| Arc::ptr_eq(&known.literal, pattern))
        {
            meter.matched(text).map_err(failed)?;
            return Ok(Value::from(known.regex.is_match(text)));
        }
        meter.call(name, arguments.as_slice()).map_err(failed)
    }
}

thread_local! {
    static MACHINES: RefCell<Machines> = RefCell::new(Machines((0..MACHINES_KEPT).map(|_| None).collect()));
}

/// Machines that a thread keeps loaded: loading costs a quarter of a small evaluation.
const MACHINES_KEPT: usize = 128;

/// A thread's machines, each loaded with the program that last fell into its place.
struct Machines(Vec<Option<Box<Loaded>>>);

/// A machine and the program it is loaded with.
struct Loaded {
    bytecode: Arc<Bytecode>,
    vm: RegoVM,
}

impl Machines {
    /// A machine loaded with the program; the kept one, if it is this program's.
    fn take(&mut self, bytecode: &Arc<Bytecode>) -> Box<Loaded> {
        match self.0[place(bytecode)].take() {
            Some(kept) if Arc::ptr_eq(&kept.bytecode, bytecode) => kept,
            _ => Box::new(Loaded { bytecode: bytecode.clone(), vm: loaded(bytecode) }),
        }
    }

    fn put_back(&mut self, machine: Box<Loaded>) {
        let place = place(&machine.bytecode);
        self.0[place] = Some(machine);
    }
}

fn place(bytecode: &Arc<Bytecode>) -> usize {
    (Arc::as_ptr(bytecode) as usize >> 6) % MACHINES_KEPT
}

fn loaded(bytecode: &Arc<Bytecode>) -> RegoVM {
    let mut machine = machine();
    machine.load_program(bytecode.clone());
    machine
}

fn machine() -> RegoVM {
    let mut machine = RegoVM::new();
    machine.set_execution_mode(ExecutionMode::Suspendable);
    machine.set_max_instructions(caps::EVALUATION_STEPS_MAX);
    machine.set_strict_builtin_errors(true);
    machine.set_data(Value::new_object()).expect("an empty object is valid data");
    machine
}

/// Compiles the patterns that stand among the literals.
fn compile_patterns(bytecode: &Bytecode, patterns: &[String]) -> Result<Arc<[Pattern]>, BuildError> {
    let literal = |pattern: &str| {
        bytecode.literals.iter().find_map(|literal| match literal {
            Value::String(text) if &**text == pattern => Some(text.clone()),
            _ => None,
        })
    };
    let compile = |pattern: &String| -> Option<Result<Pattern, BuildError>> {
        let literal = literal(pattern)?;
        let regex = RegexBuilder::new(pattern).size_limit(caps::REGEX_COMPILED_BYTES_MAX).build();
        Some(regex.map(|regex| Pattern { literal, regex }).map_err(|error| BuildError(error.to_string())))
    };
    patterns.iter().filter_map(compile).collect()
}

/// Drops what only a debugger reads; it is most of a program's memory.
fn slim(bytecode: Arc<Bytecode>) -> Bytecode {
    let mut bytecode = Arc::unwrap_or_clone(bytecode);
    bytecode.instruction_spans = Vec::new();
    bytecode.sources = Vec::new();
    bytecode.instructions.shrink_to_fit();
    bytecode.literals.shrink_to_fit();
    bytecode
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUNGRY: &str =
        "package t.u\n\nheld if regex.match(\"a\", input.text)\n\nbroken if regex.match(input.text, \"a\")\n";

    fn kept(program: &Program) -> bool {
        MACHINES.with_borrow(|machines| machines.0[place(&program.bytecode)].is_some())
    }

    #[test]
    fn a_machine_that_failed_is_not_used_again() {
        let patterns = ["a".to_owned()];
        let program = Program::build("t.u", HUNGRY, &["held", "broken"], UNIT_BUILTINS, &patterns)
            .expect("it compiles");
        let input = |text: &str| Value::from_json_str(&format!("{{\"text\": \"{text}\"}}")).expect("JSON");
        assert_eq!(program.run(0, input("a")), Ok(Value::Bool(true)));
        assert!(kept(&program));
        assert!(matches!(program.run(1, input("(")), Err(EvaluationError::Host { .. })));
        assert!(!kept(&program), "it was left half way through a call");
        assert_eq!(program.run(0, input("b")), Ok(Value::Undefined));
    }
}
