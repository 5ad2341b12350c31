//! The text of a schedule: read line by line, so that comments are kept, and printed in one form.

use std::fmt;

use ir::diag::{Diagnostic, Place};
use ir::text::{Cursor, Tok};

use super::{Choice, Content, Kind, Line, START, Schedule, Scope, VERSION};
use crate::loops::step::{Arg, Step};

/// Reads a schedule.
pub(super) fn parse(text: &str) -> Result<Schedule, Diagnostic> {
    let mut numbered = (1..).zip(text.lines());
    let Some((first, line)) = numbered.by_ref().find(|(_, line)| !line.trim().is_empty()) else {
        return Err(Diagnostic::new(format!(
            "the schedule is empty: its first line is `schedule {VERSION}`"
        )));
    };
    version(line).map_err(|error| on_line(error, first))?;
    let mut schedule = Schedule { lines: Vec::new() };
    lines(numbered, false, &mut schedule)?;
    Ok(schedule)
}

/// Reads steps that are for every layer.
pub(super) fn parse_steps(text: &str) -> Result<Schedule, Diagnostic> {
    let all = Scope { kind: Kind::Layer, patterns: vec!["*".into()], place: START };
    let mut schedule = Schedule { lines: vec![Line { content: Content::Scope(all), comment: None }] };
    lines((1..).zip(text.lines()), true, &mut schedule)?;
    Ok(schedule)
}

/// Reads the lines behind the first one.
fn lines<'a>(
    numbered: impl Iterator<Item = (u32, &'a str)>,
    mut in_scope: bool,
    schedule: &mut Schedule,
) -> Result<(), Diagnostic> {
    for (number, text) in numbered {
        let line = line_of(text, number).map_err(|error| on_line(error, number))?;
        match line.content {
            Content::Scope(_) => in_scope = true,
            Content::Steps(_) if !in_scope => {
                let error =
                    Diagnostic::new("a step stands outside of a scope").at(Place { line: number, column: 1 });
                return Err(error.help("name the layers that it is for: `layer conv2d_7:`"));
            }
            _ => {}
        }
        schedule.lines.push(line);
    }
    Ok(())
}

/// Errors of a line read by itself are on its first line.
fn on_line(error: Diagnostic, line: u32) -> Diagnostic {
    let place = error.place.map(|place| Place { line, ..place });
    Diagnostic { place, ..error }
}

fn version(line: &str) -> Result<(), Diagnostic> {
    let mut cursor = Cursor::new(line)?;
    cursor.expect_word("schedule")?;
    let place = cursor.place();
    let found: u32 = cursor.int()?;
    if found != VERSION {
        let message = format!("this is a schedule of version {found}, only version {VERSION} is supported");
        return Err(Diagnostic::new(message).at(place));
    }
    end(&mut cursor)
}

fn end(cursor: &mut Cursor) -> Result<(), Diagnostic> {
    if *cursor.peek() == Tok::End { Ok(()) } else { Err(cursor.wanted("the end of the line")) }
}

fn line_of(text: &str, number: u32) -> Result<Line, Diagnostic> {
    let (code, comment) = match text.split_once("//") {
        Some((code, comment)) => (code, Some(comment.trim().to_string())),
        None => (text, None),
    };
    let mut cursor = Cursor::new(code)?;
    let kind = Kind::ALL.into_iter().find(|kind| cursor.at_word(kind.word()));
    let content = match (cursor.peek(), kind) {
        (Tok::End, _) => Content::Blank,
        (_, Some(kind)) => Content::Scope(scope(&mut cursor, kind, number)?),
        (_, None) => Content::Steps(choices(&mut cursor, number)?),
    };
    end(&mut cursor)?;
    Ok(Line { content, comment })
}

/// `layer conv_*:` or `band expand_* depthwise_*:`
fn scope(cursor: &mut Cursor, kind: Kind, line: u32) -> Result<Scope, Diagnostic> {
    let place = Place { line, ..cursor.place() };
    cursor.expect_word(kind.word())?;
    let mut patterns = vec![pattern(cursor)?];
    while matches!(kind, Kind::Band | Kind::Group) && !cursor.at(":") {
        patterns.push(pattern(cursor)?);
    }
    cursor.expect(":")?;
    if kind == Kind::Band && patterns.len() < 2 {
        return Err(Diagnostic::new("a band has one layer, expected two or more").at(place));
    }
    Ok(Scope { kind, patterns, place })
}

/// `conv_*`: parts without a blank between.
fn pattern(cursor: &mut Cursor) -> Result<String, Diagnostic> {
    let mut pattern = String::new();
    let start = cursor.place().column;
    let is_next = |cursor: &Cursor, pattern: &str| cursor.place().column == start + pattern.len() as u32;
    while pattern.is_empty() || !cursor.at(":") && is_next(cursor, &pattern) {
        if cursor.eat("*") {
            pattern.push('*');
        } else if matches!(cursor.peek(), Tok::Int(_)) {
            pattern.push_str(&cursor.int::<u64>()?.to_string());
        } else {
            pattern.push_str(cursor.ident("a name or `*`")?);
        }
    }
    Ok(pattern)
}

fn choices(cursor: &mut Cursor, line: u32) -> Result<Vec<Choice>, Diagnostic> {
    let mut choices = Vec::new();
    loop {
        let place = Place { line, ..cursor.place() };
        let mut steps = vec![step(cursor)?];
        while cursor.eat_word("or") {
            steps.push(step(cursor)?);
        }
        choices.push(Choice { steps, place });
        if !cursor.eat(";") || *cursor.peek() == Tok::End {
            return Ok(choices);
        }
    }
}

fn step(cursor: &mut Cursor) -> Result<Step, Diagnostic> {
    let mut name = cursor.ident("a step")?.to_string();
    while cursor.eat("-") {
        name = format!("{name}-{}", cursor.ident("the rest of the step's name")?);
    }
    let mut args = Vec::new();
    loop {
        match cursor.peek() {
            Tok::Ident("or") => break,
            Tok::Ident(word) => {
                args.push(Arg::Word(word.to_string()));
                cursor.bump();
            }
            Tok::Int(_) => args.push(Arg::Int(cursor.int()?)),
            Tok::Punct("(") => args.push(Arg::List(list(cursor)?)),
            _ => break,
        }
    }
    Ok(Step { name, args })
}

/// `(0 2 1 3)`
fn list(cursor: &mut Cursor) -> Result<Vec<u32>, Diagnostic> {
    cursor.expect("(")?;
    let mut items = Vec::new();
    while !cursor.at(")") {
        items.push(cursor.int()?);
    }
    cursor.expect(")")?;
    Ok(items)
}

/// Prints a schedule; steps are indented by two blanks.
pub(super) fn print(schedule: &Schedule, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "schedule {VERSION}")?;
    for line in &schedule.lines {
        match &line.content {
            Content::Blank => {}
            Content::Scope(scope) => write!(f, "{} {}:", scope.kind.word(), scope.patterns.join(" "))?,
            Content::Steps(choices) => {
                let choices: Vec<String> = choices.iter().map(choice).collect();
                write!(f, "  {}", choices.join("; "))?;
            }
        }
        match (&line.comment, &line.content) {
            (Some(comment), Content::Blank) => writeln!(f, "// {comment}")?,
            (Some(comment), _) => writeln!(f, " // {comment}")?,
            (None, _) => writeln!(f)?,
        }
    }
    Ok(())
}

fn choice(choice: &Choice) -> String {
    let steps: Vec<String> = choice.steps.iter().map(ToString::to_string).collect();
    steps.join(" or ")
}
