//! Time windows.

use super::cx::Cx;
use super::fields::Fields;
use super::values::{list, one_or_list, short, string, zone};
use crate::ast::{Condition, Subject, Test, TimeWindow};
use crate::yaml::{Kind, Node, Pair};

/// Names of the days, from Monday on.
const DAYS: [(&str, &str); 7] = [
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("wed", "wednesday"),
    ("thu", "thursday"),
    ("fri", "friday"),
    ("sat", "saturday"),
    ("sun", "sunday"),
];

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// `time`: one window, or a list of which one has to be open.
pub(super) fn time(pair: &Pair, cx: &mut Cx<'_>) -> Option<Condition> {
    let test = |window| {
        let subject = Subject::Time(window);
        Condition::Test(Test {
            subject,
            checks: Vec::new(),
            optional: false,
            approvable: false,
            span: pair.key.span,
        })
    };
    if matches!(pair.value.kind, Kind::Seq(_)) {
        let items = list(&pair.value, "time windows", false, cx)?;
        let windows: Vec<_> = items.iter().filter_map(|item| window(item, cx)).collect();
        return Some(Condition::Any(windows.into_iter().map(test).collect()));
    }
    window(&pair.value, cx).map(test)
}

fn window(node: &Node, cx: &mut Cx<'_>) -> Option<TimeWindow> {
    let mut fields = Fields::of(node, "a time window", cx)?;
    let days = fields.take("days").map_or(Some([true; 7]), |pair| days(&pair.value, cx));
    let from = fields.take("from");
    let to = fields.take("to");
    let zone_pair = match fields.take("timezone") {
        Some(pair) => Some(pair),
        None => fields.require(
            "zone",
            "a window needs the zone whose clock it means, e.g. `zone: Europe/Berlin`",
            cx,
        ),
    };
    let zone = zone_pair.and_then(|pair| zone(&pair.value, cx));
    let place = fields.place();
    fields.finish(cx);
    let (from_minute, to_minute) = match (from, to) {
        (None, None) => (0, DAY_MINUTES),
        (Some(from), Some(to)) => {
            let bounds = (minute(&from.value, DAY_MINUTES - 1, cx), minute(&to.value, DAY_MINUTES, cx));
            let (Some(from_minute), Some(to_minute)) = bounds else { return None };
            if from_minute == to_minute {
                let help = "leave both out for the whole day; a window past midnight ends at an earlier time";
                cx.error("empty-range", to.key.span, "`from` and `to` are the same time", help);
            }
            (from_minute, to_minute)
        }
        _ => {
            cx.error(
                "missing-field",
                place,
                "a time window needs both `from` and `to`, or neither",
                "`from` is inside, `to` is not",
            );
            return None;
        }
    };
    Some(TimeWindow { days: days?, from_minute, to_minute, zone: zone? })
}

/// `mon`, `monday`, or a range `mon-fri`; one or a list.
fn days(node: &Node, cx: &mut Cx<'_>) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    let mut complete = true;
    for item in one_or_list(node, "days", cx)? {
        let Some(text) = string(item, cx) else {
            complete = false;
            continue;
        };
        let range = match text.split_once('-') {
            Some((first, last)) => (day(first), day(last)),
            None => (day(text), day(text)),
        };
        let (Some(first), Some(last)) = range else {
            let help = "write `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`, or a range such as `mon-fri`";
            cx.error("bad-value", item.span, format!("`{}` is not a day", short(text)), help);
            complete = false;
            continue;
        };
        let length = (last + 7 - first) % 7 + 1;
        (0..length).for_each(|offset| days[(first + offset) % 7] = true);
    }
    complete.then_some(days)
}

fn day(name: &str) -> Option<usize> {
    DAYS.iter().position(|&(short, long)| name == short || name == long)
}

/// `HH:MM` as a minute of the day.
fn minute(node: &Node, max: u16, cx: &mut Cx<'_>) -> Option<u16> {
    let text = string(node, cx)?;
    let minute = match text.as_bytes() {
        [h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) => {
            let number = |tens: &u8, ones: &u8| u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
            let (hours, minutes) = (number(h1, h2), number(m1, m2));
            Some(hours * 60 + minutes).filter(|_| minutes < 60)
        }
        _ => None,
    };
    let fits = minute.filter(|&minute| minute <= max);
    if fits.is_none() {
        let help = "write hours and minutes as `09:30`, from `00:00` to `23:59`; `to` may be `24:00`";
        cx.error(
            "bad-value",
            node.span,
            format!("`{}` is not a time of day that fits here", short(text)),
            help,
        );
    }
    fits
}
