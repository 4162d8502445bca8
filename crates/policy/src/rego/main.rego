# The judgement, for a stock OPA: dispatch over the index, and the choice among the entries that match.
# Conditions live in the units (`data.aegis.unit.*`); Aegis evaluates those very units, and does natively
# what this file does, so that a call costs the same however many agents and tools a set has.
package aegis

import data.aegis.index

# The enforced verdict.
verdict := judge({"enforce"})

# The verdict if everything in shadow mode were enforced.
shadow_verdict := judge({"enforce", "shadow"})

judge(modes) := plain("deny", "ScopeExceeded", "the token's scope does not cover this tool and action") if {
	not in_scope
} else := plain("allow", null, null) if {
	observed_only(modes)
} else := plain("deny", "UnknownAgent", "no policy names this agent") if {
	count(documents) == 0
} else := denied(modes) if {
	count(denial_reasons(modes)) > 0
} else := permitted(modes) if {
	count(ids("pass", modes)) > 0
} else := asked(ids("ask", modes)) if {
	count(ids("ask", modes)) > 0
} else := refused(modes)

# ---- who and where

in_scope if {
	some item in split(input.token.scope, " ")
	parts := split(item, ":")
	count(parts) > 1
	last := count(parts) - 1
	tool_glob := concat(":", array.slice(parts, 0, last))
	not tool_glob in {"aegis", "assert"}
	glob_matches(tool_glob, input.tool)
	glob_matches(parts[last], input.action)
}

glob_matches(glob, text) if {
	regex.match(`^[A-Za-z0-9_.:/*-]*$`, glob)
	pattern := replace(replace(glob, ".", `\.`), "*", ".*")
	regex.match(concat("", ["^(?:", pattern, ")$"]), text)
}

# The documents that name the agent, in the order of the sources; the defaults are not among them.
documents := [index.documents[number] | some number in index.agents[input.agent]] if {
	index.agents[input.agent]
} else := [index.documents[number] |
	some number in sort({glob.document | some glob in index.globs; regex.match(glob.pattern, input.agent)})
]

every_document := array.concat(documents, [document |
	some document in [index.defaults]
	document != null
])

observed_only(modes) if {
	index.observe_only
	not "shadow" in modes
	every document in every_document {
		every id in array.concat(document.denied, object.get(document, "allowed", [])) {
			index.entries[id].mode == "shadow"
		}
	}
}

# ---- denials

denied(modes) := {
	"outcome": "deny",
	"reasons": in_order(denial_reasons(modes)),
	"rules": array.concat(
		[index.entries[id].rule | some id in sorted(fired(modes))],
		[rule | some rule in custom_rules("deny")],
	),
	"obligations": [],
	"unverified": unverified(fired(modes)),
}

fired(modes) := {id |
	some document in every_document
	some id in document.denied
	entry := index.entries[id]
	entry.mode in modes
	names(entry.tool, lower(input.tool))
	names(entry.action, lower(input.action))
	not cleared(entry)
}

cleared(entry) if data.aegis.unit[entry.unit].clear

denial_reasons(modes) := {[id, -1, "", located(reason, index.entries[id], index.entries[id].position)] |
	some id in fired(modes)
	reason := {"code": "ToolDenied", "message": "a rule denies this call"}
} | {[id, reason.at, object.get(reason, "path", ""), leaf(reason, index.entries[id])] |
	some id in fired(modes)
	some reason in data.aegis.unit[index.entries[id].unit].reasons
} | custom_reasons("deny")

# ---- allowances

permitted(modes) := asked_by_custom(modes) if {
	count(custom_reasons("approval")) > 0
} else := {
	"outcome": "allow",
	"reasons": [],
	"rules": [index.entries[id].rule | some id in sorted(ids("pass", modes))],
	"obligations": obligations(ids("pass", modes)),
	"unverified": unverified(ids("pass", modes)),
}

asked_by_custom(modes) := {
	"outcome": "approval_required",
	"reasons": in_order(custom_reasons("approval")),
	"rules": array.concat(
		[index.entries[id].rule | some id in sorted(ids("pass", modes))],
		[rule | some rule in custom_rules("approval")],
	),
	"obligations": obligations(ids("pass", modes)),
	"unverified": unverified(ids("pass", modes)),
}

asked(asking) := {
	"outcome": "approval_required",
	"reasons": in_order(ask_reasons(asking) | custom_reasons("approval")),
	"rules": array.concat(
		[index.entries[id].rule | some id in sorted(asking)],
		[rule | some rule in custom_rules("approval")],
	),
	"obligations": obligations(asking),
	"unverified": unverified(asking),
}

ask_reasons(asking) := {[id, reason.at, object.get(reason, "path", ""), leaf(reason, index.entries[id])] |
	some id in asking
	not passes(index.entries[id])
	some reason in data.aegis.unit[index.entries[id].unit].reasons
	reason.ask
} | {[id, -1, "", located(reason, index.entries[id], index.entries[id].position)] |
	some id in asking
	passes(index.entries[id])
	reason := {"code": "ApprovalRequired", "message": "the rule lets this call through only with a person's approval"}
}

ids("pass", modes) := {id |
	some id in matching(modes)
	not index.entries[id].always_ask
	passes(index.entries[id])
}

ids("ask", modes) := {id | some id in matching(modes); index.entries[id].always_ask; passes(index.entries[id])} |
	{id |
		some id in matching(modes)
		not passes(index.entries[id])
		data.aegis.unit[index.entries[id].unit].ask
	}

passes(entry) if not entry.unit

passes(entry) if data.aegis.unit[entry.unit].pass

candidates(modes) := {id |
	some document in allowing_documents
	some id in document.allowed
	index.entries[id].mode in modes
	names(index.entries[id].tool, input.tool)
}

matching(modes) := {id | some id in candidates(modes); names(index.entries[id].action, input.action)}

allowing_documents := [document | some document in documents; document.allowed] if {
	some document in documents
	document.allowed
} else := [document | some document in every_document; document.allowed]

# ---- refusals

refused(modes) := plain("deny", "ToolNotAllowed", "no rule allows this agent to use this tool") if {
	count(candidates(modes)) == 0
} else := plain("deny", "ActionNotAllowed", "the tool is allowed for this agent, but not this action") if {
	count(matching(modes)) == 0
} else := {
	"outcome": "deny",
	"reasons": in_order({[closest, reason.at, object.get(reason, "path", ""), leaf(reason, index.entries[closest])] |
		some reason in data.aegis.unit[index.entries[closest].unit].reasons
	}),
	"rules": [],
	"obligations": [],
	"unverified": [],
} if {
	ranks := {[count(data.aegis.unit[index.entries[id].unit].reasons), id] | some id in matching(modes)}
	closest := min(ranks)[1]
}

# ---- parts of a verdict

plain(outcome, code, message) := {
	"outcome": outcome,
	"reasons": [{"code": code, "message": message} | code != null],
	"rules": [],
	"obligations": [],
	"unverified": [],
}

names(names_of, name) if name in names_of.exact

names(names_of, name) if regex.match(names_of.pattern, name)

names(names_of, _) if names_of.any

leaf(reason, entry) := located(object.remove(reason, ["at", "ask"]), entry, entry.positions[reason.at])

located(reason, entry, position) := object.union(reason, {"rule": entry.rule, "position": position})

in_order(found) := [item[3] | some item in sort(found)]

sorted(found) := sort(found)

obligations(found) := array.concat(
	[obligation | some id in sorted(found); some obligation in index.entries[id].obligations],
	array.concat(document_obligations, index.obligations),
)

# An agent's own field replaces that of the defaults.
document_obligations := array.concat(own_obligations, [obligation |
	some document in [index.defaults]
	document != null
	some obligation in document.obligations
	not obligation.kind in {own.kind | some own in own_obligations}
])

own_obligations := [obligation | some document in documents; some obligation in document.obligations]

unverified(found) := sort({name |
	some id in found
	some name in index.entries[id].circumstances
	not present(input.token, name)
	present(input.context, name)
})

present(members, name) if _ = members[name]

# ---- custom modules

custom_reasons(kind) := {[1000000000 + document.number, -1, text(reason), {
	"code": "CustomRule",
	"message": text(reason),
	"rule": document.custom_rule,
	"position": document.custom_position,
}] |
	some document in every_document
	some reason in data.aegis.custom[document.custom][kind]
}

custom_rules(kind) := [document.custom_rule |
	some document in every_document
	count(data.aegis.custom[document.custom][kind]) > 0
]

text(reason) := reason if {
	is_string(reason)
} else := "a custom rule gave a reason that is not text"
