//! The text form of the graph level: what prints, parses back and verifies.
//!
//! ```text
//! graph @name(%0: i8[1, 49, 10, 1] scale 0.5847029 zero 83) {
//!   %1 = const hex"00ff…" : i8[4, 3, 3, 1] scale [0.1, 0.2, 0.3, 0.4] axis 0
//!   %2 = const [10, -20, 0, 7] : i32[4]
//!   %3 = conv2d %0, %1, %2 {stride = [2, 2], …} : i8[1, 25, 5, 4] scale 0.02 zero -128 name "conv_0" source 7
//!   return %3
//! }
//! ```
//!
//! Constants are little-endian bytes, or their elements in a list. `name` is left out where it is empty, `source` where
//! it is the operator's position in the text. Values may have any name in text; printing numbers them.

pub mod parser;
pub mod printer;

pub use parser::{parse, parse_unverified};
pub use printer::{Style, print};

#[cfg(test)]
mod tests {
    use super::*;

    const CONV: &str = r#"graph @net(%0: i8[1, 2, 2, 1] scale 0.5847029 zero 83 name "in") {
  %1 = const [1, -2] : i8[2, 1, 1, 1] scale [0.1, 2e-8] axis 0
  %2 = const [10, -20] : i32[2] name "the \"bias\""
  %3 = conv2d %0, %1, %2 {stride = [1, 1], dilation = [1, 1], pad = [[0, 0], [0, 0]], clamp = [-128, 127]} : i8[1, 2, 2, 2] scale 0.02 zero -128
  %4 = softmax %3 {beta = 1.0} : i8[1, 2, 2, 2] scale 0.00390625 zero -128 name "out" source 7
  %5 = const hex"00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
    00ff" : i8[66] scale 1.0 zero 0
  %6 = relu %5 {clamp = [0, 127], single_ratio = false} : i8[66] scale 1.0 zero 0
  return %4, %6
}
"#;

    fn messages(text: &str) -> Vec<String> {
        parse(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn print_and_parse_undo_each_other() {
        let graph = parse(CONV).unwrap();
        assert_eq!(print(&graph, Style::Full), CONV);
        assert_eq!(parse(&print(&graph, Style::Full)).unwrap(), graph);
    }

    #[test]
    fn elided_constants_are_for_reading_only() {
        let printed = print(&parse(CONV).unwrap(), Style::Elided);
        assert!(printed.contains("%1 = const [1, -2] : i8[2, 1, 1, 1]"));
        assert!(printed.contains("%5 = const elided : i8[66]"));
        let [message] = &messages(&printed)[..] else { panic!("one error") };
        assert!(message.starts_with("error: the constant was printed elided\n --> 6:14"), "{message}");
    }

    #[test]
    fn a_wrong_text_says_what_and_where() {
        let wrong = |find: &str, replace: &str| messages(&CONV.replacen(find, replace, 1)).join("\n");
        let cases = [
            ("conv2d %0", "conv3d %0", "error: `conv3d` is no operator\n --> 4:8\nhelp: operators are `add`"),
            ("%1, %2 {", "%1, %9 {", "error: `%9` is not defined before it is read\n --> 4:23"),
            ("%2 = const", "%1 = const", "error: `%1` is defined twice\n --> 3:3"),
            (
                "stride = [1, 1], ",
                "",
                "error: `conv2d` has no attribute `stride`\n --> 4:8\nhelp: `stride` is a list of 2",
            ),
            (
                "stride = [1, 1]",
                "stride = [1]",
                "error: `stride` is [1], expected a list of 2, each item a whole number from 0\n --> 4:27",
            ),
            (
                "{beta = 1.0}",
                "{beta = 1.0, x = 2}",
                "error: `x` is not an attribute of `softmax`, or stands twice\n --> 5:32",
            ),
            (
                "[10, -20] : i32",
                "[10, -20, 3] : i32",
                "error: the constant has 12 bytes, its type i32[2] has 8\n --> 3:14",
            ),
            ("const [1, -2] : i8", "const [1, -200] : i8", "error: -200 is no i8\n --> 2:14"),
            ("i8[1, 2, 2, 1]", "i8[1, 2, 0, 1]", "error: shape [1, 2, 0, 1] has no element"),
            ("i8[1, 2, 2, 1]", "i9[1, 2, 2, 1]", "error: `i9` is no type\n --> 1:16"),
            (
                "zero 83",
                "zero 830",
                "error: op 0 `conv2d`: the input has zero point 830, which is no i8\n --> 4:3",
            ),
            ("return %4", "retrun %4", "error: expected"),
        ];
        for (find, replace, expected) in cases {
            let found = wrong(find, replace);
            assert!(found.starts_with(expected), "{replace}: expected {expected}, found {found}");
        }
        assert!(messages(&CONV.replace("return %4, %6\n}", "return %4, %6"))[0].contains("expected `}`"));
        assert!(messages(&format!("{CONV} x"))[0].contains("expected the end of the text"));
    }
}
