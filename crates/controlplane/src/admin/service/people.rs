//! People who use the admin API: list, show, make or change.

use aegis_proto::admin::{ListRequest, Person, PersonList, PersonRequest, PutPersonRequest};
use aegis_proto::control as rows;

use super::row;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::command::{Code, Refused};
use crate::state::people;

/// All people, by name.
pub(crate) async fn list(caller: &Caller, request: ListRequest) -> Result<PersonList, Problem> {
    let query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::People).await?;
    let (items, next) = form::listed(people::people(&state, &query)?, shown);
    Ok(PersonList { items, next })
}

/// Shows a person: to those who may see people, and to the person.
pub(crate) async fn get(caller: &Caller, request: PersonRequest) -> Result<Person, Problem> {
    let person = form::person(&request.person)?;
    let state = caller.reads(Read::Person(&person)).await?;
    let row = people::person(&state, &person)?;
    Ok(shown(row.ok_or_else(|| Refused::unknown(Code::UnknownPerson, "person", person))?))
}

/// Makes a person, or changes one.
pub(crate) async fn put(caller: &Caller, request: PutPersonRequest) -> Result<Person, Problem> {
    let command = rows::PutPerson {
        name: request.person.clone(),
        display_name: request.display_name.clone(),
        disabled: request.disabled,
    };
    row!(caller.write("PutPerson", &request, command).await?, Person).map(shown)
}

fn shown(row: rows::Person) -> Person {
    Person {
        name: row.name,
        display_name: row.display_name,
        disabled: row.disabled,
        created_at: form::time(row.created_ms),
        created_by: row.created_by,
    }
}
