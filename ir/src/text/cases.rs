//! Splits a test file into cases: what to run, its input, and the whole output.
//!
//! ```text
//! //! test rewrite tile o 5
//! // A comment.
//! loops @f(x: i32[32]) {
//!   for o in 0..32 { x[o] = 1 } //~ error: cannot tile `o` by 5
//! }
//! //= what is printed, line by line
//! ```
//!
//! `//! test KIND WORDS` begins a case. `//~ error: message` expects an error on its line, `//~^` on the line above. What
//! the kinds mean is the business of the tests that run them.

use std::fmt::Write;

/// One case of a test file.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The first word behind `//! test`.
    pub kind: String,
    /// The words behind the kind.
    pub args: Vec<String>,
    /// The line of `//! test`, from 1.
    pub line: u32,
    /// The lines of the case, `//=` lines left out, behind as many empty lines as stand above it in the file.
    pub input: String,
    /// The lines and messages of the expected errors, in order of lines.
    pub errors: Vec<(u32, String)>,
    /// The `//=` lines without their mark; `None` where there is none.
    pub output: Option<String>,
}

/// The cases of a file, in order; lines before the first one are skipped.
pub fn split(file: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (line, text) in (1..).zip(file.lines()) {
        if let Some(words) = text.strip_prefix("//! test ") {
            let words = words.split("//~").next().unwrap_or_default();
            let mut words = words.split_whitespace().map(str::to_string);
            let kind = words.next().unwrap_or_default();
            let input = "\n".repeat(line as usize - 1);
            cases.push(Case { kind, args: words.collect(), line, input, errors: Vec::new(), output: None });
        }
        if let Some(case) = cases.last_mut() {
            case.add(line, text);
        }
    }
    cases
}

/// The file with the errors and the output of a case in place of those that it expects.
///
/// Cases below keep their text, but not their lines; so bless from the last case to the first.
pub fn bless(file: &str, case: &Case, errors: &[(u32, String)], output: Option<&str>) -> String {
    let first = case.line as usize - 1;
    let count =
        case.input.lines().count() - first + case.output.as_ref().map_or(0, |text| text.lines().count());
    let lines: Vec<&str> = file.lines().collect();
    let mut inside = Vec::new();
    for (line, text) in (case.line..).zip(&lines[first..first + count]) {
        if text.starts_with("//=") || text.trim_start().starts_with("//~^") {
            continue;
        }
        let mut text = text.split("//~").next().unwrap_or_default().trim_end().to_string();
        for (_, message) in errors.iter().filter(|(at, _)| *at == line) {
            let _ = write!(text, " //~ {message}");
        }
        inside.push(text);
    }
    let end = inside.iter().rposition(|text| !text.is_empty()).map_or(0, |last| last + 1);
    let output = output.unwrap_or_default().lines().map(|text| format!("//= {text}").trim_end().to_string());
    inside.splice(end..end, output);
    let before = lines[..first].iter().map(|text| text.to_string());
    let after = lines[first + count..].iter().map(|text| text.to_string());
    before.chain(inside).chain(after).flat_map(|text| [text, "\n".into()]).collect()
}

impl Case {
    fn add(&mut self, line: u32, text: &str) {
        if let Some(output) = text.strip_prefix("//=") {
            let output = output.strip_prefix(' ').unwrap_or(output);
            self.output.get_or_insert_default().extend([output, "\n"]);
            return;
        }
        self.input.extend([text, "\n"]);
        for expected in text.split("//~").skip(1) {
            let above = expected.bytes().take_while(|byte| *byte == b'^').count();
            self.errors.push((line - above as u32, expected[above..].trim().to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "// Intro.\n//! test a b c\nx //~ error: one //~ error: two\n//~^ error: three\n//= 1\n//= 2\n\n//! test d\ny\n";

    #[test]
    fn cases_keep_their_lines() {
        let cases = split(FILE);
        assert_eq!(cases.len(), 2);
        assert_eq!((cases[0].kind.as_str(), cases[0].args.join(" ")), ("a", "b c".into()));
        let lines: Vec<_> = cases[0].errors.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(lines, [(3, "error: one"), (3, "error: two"), (3, "error: three")]);
        assert_eq!(cases[0].output.as_deref(), Some("1\n2\n"));
        assert_eq!(cases[1].input.lines().nth(8), Some("y"));
        assert_eq!(cases[1].output, None);
    }

    #[test]
    fn blessing_replaces_only_the_case() {
        let cases = split(FILE);
        let blessed = bless(FILE, &cases[0], &[(3, "error: new".into())], Some("3\n"));
        assert_eq!(blessed, "// Intro.\n//! test a b c\nx //~ error: new\n//= 3\n\n//! test d\ny\n");
        let blessed = bless(FILE, &cases[1], &[], Some("4\n"));
        assert_eq!(blessed, format!("{FILE}//= 4\n"));
    }
}
