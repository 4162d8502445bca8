//! AuthZEN Authorization API 1.0: `POST /access/v1/evaluation` and `/access/v1/evaluations`.
//!
//! Each evaluation is a decision of its own, judged and recorded like any other. A request without a valid token is
//! refused as a whole (401), as AuthZEN wants; a single evaluation of a list that cannot be judged is answered
//! `false`, with the problem in its context.

use std::net::IpAddr;

use aegis_proto::authzen::{
    self, AnswerContext, Evaluation, EvaluationAnswer, EvaluationAnswers, EvaluationError, Evaluations,
};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;

use super::decide::body as body_of;
use super::problem::Problem;
use super::{HttpSurface, Reply, headers, reply};
use crate::answer::{Answer, Refused, Standing};
use crate::case::Surface;
use crate::decider::Entry;
use crate::serve::more_follows;
use crate::walk::walk;

/// Who asks, and by which proof it was let in.
struct Asker<'a> {
    surface: &'a HttpSurface,
    source: IpAddr,
    token: &'a str,
    entry: Entry,
}

/// Answers `POST /access/v1/evaluation`.
pub(super) async fn evaluation(
    surface: &HttpSurface,
    source: IpAddr,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    let (mut asker, body) = admit(surface, source, head, body).await?;
    let evaluation = authzen::read_evaluation(&body).map_err(|bad| asker.malformed(bad.into()))?;
    let answer = asker.evaluate(&evaluation).await?;
    Ok(reply::json(StatusCode::OK, body_of(&answer)))
}

/// Answers `POST /access/v1/evaluations`, in the order of the list, as far as its semantic goes.
pub(super) async fn evaluations(
    surface: &HttpSurface,
    source: IpAddr,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    let (mut asker, body) = admit(surface, source, head, body).await?;
    let asked = authzen::read_evaluations(&body).map_err(|bad| asker.malformed(bad.into()))?;
    drop(body);
    let (list, semantic) = match asked {
        Evaluations::One(evaluation) => {
            let answer = asker.evaluate(&evaluation).await?;
            return Ok(reply::json(StatusCode::OK, body_of(&answer)));
        }
        Evaluations::Many { evaluations, semantic } => (evaluations, semantic),
    };
    let mut evaluations = Vec::with_capacity(list.len());
    for evaluation in &list {
        let answer = match more_follows(asker.evaluate(evaluation)).await {
            Ok(answer) => answer,
            Err(refused) if refused.standing() == Standing::Unproven => return Err(refused.into()),
            Err(refused) => failed(refused),
        };
        let decision = answer.decision;
        evaluations.push(answer);
        if semantic.ends_after(decision) {
            break;
        }
    }
    Ok(reply::json(StatusCode::OK, body_of(&EvaluationAnswers { evaluations })))
}

async fn admit<'a>(
    surface: &'a HttpSurface,
    source: IpAddr,
    head: &'a Parts,
    body: Incoming,
) -> Result<(Asker<'a>, super::body::ReadBody), Problem> {
    let token = surface.token(source, Surface::Authzen, head).await?;
    headers::check_json(&head.headers)?;
    let entry = surface.enter(Surface::Authzen)?.traced(headers::trace_context(&head.headers));
    let body = surface.bodies.read(body).await?;
    Ok((Asker { surface, source, token, entry }, body))
}

impl Asker<'_> {
    /// Judges one evaluation.
    async fn evaluate(&mut self, evaluation: &Evaluation) -> Result<EvaluationAnswer, Refused> {
        let decider = &self.surface.decider;
        let about = evaluation.agent().map_err(|bad| self.malformed(bad.into()))?;
        let call = evaluation.call().map_err(|bad| self.malformed(bad.into()))?;
        let received =
            decider.receive(&self.entry, Surface::Authzen, self.source, self.token, Some(about), call);
        let answer = walk(decider, received).await;
        self.entry.restart_watch();
        match answer {
            Answer::Decided(decision) => Ok(EvaluationAnswer::from(*decision)),
            Answer::Refused(refused) => Err(refused),
        }
    }

    fn malformed(&self, refused: Refused) -> Refused {
        self.surface.decider.malformed(Surface::Authzen);
        refused
    }
}

/// The answer to an evaluation of a list that could not be judged: a denial that says why.
fn failed(refused: Refused) -> EvaluationAnswer {
    let Problem { status, refused, .. } = Problem::from(refused);
    let error = EvaluationError {
        status: status.as_u16(),
        code: refused.code.as_str(),
        message: refused.detail,
        path: refused.path,
    };
    EvaluationAnswer { decision: false, context: AnswerContext::Failed { error } }
}
