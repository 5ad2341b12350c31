//! Loops that end where a pointer does: text in, text out, and both touch the same memory.

use tinyc_isel_thumb2::ends::ends;
use tinyc_isel_thumb2::mir::{BlockId, Function, Word};

#[allow(dead_code)] // Only a part of it is for this program.
mod numbers;
#[path = "ends/text.rs"]
mod text;
#[path = "ends/trace.rs"]
mod trace;
use numbers::Numbers;
use text::{parse, print};
use trace::trace;

/// The function with all its loops ended by pointers, which must touch the same memory for each member.
fn after(before: &Function) -> Option<Function> {
    let loops: Vec<BlockId> = (0..before.blocks.len() as u32).map(BlockId).collect();
    let after = ends(before, &loops)?;
    for member in 0..before.parameters.first().map_or(1, Vec::len) {
        assert_eq!(trace(&after, member), trace(before, member), "{}", print(&after));
    }
    Some(after)
}

fn changes(before: &str, expected: &str) {
    let after = after(&parse(before)).expect("a loop can end by a pointer");
    assert_eq!(print(&after), print(&parse(expected)));
}

fn stays(before: &str) {
    let before = parse(before);
    let after = after(&before);
    assert!(after.is_none(), "{}", after.as_ref().map(print).unwrap_or_default());
}

const COUNTED: &str = "
    b0():
      given v0
      mov.w v1, #100
      to b1(v0, v1)
    b1(v2, v3):
      ldr.w v4, [v2]
      add.w v5, v2, #16
      subs.w v6, v3, #1
      ne b2 b3
    b2():
      to b1(v5, v6)
    b3():
      return";

#[test]
fn a_counter_becomes_the_end_of_a_pointer() {
    changes(
        COUNTED,
        "
        b0():
          given v0
          add.w v7, v0, #1600
          to b1(v0)
        b1(v2):
          ldr.w v4, [v2]
          add.w v5, v2, #16
          cmp.w v5, v7
          ne b2 b3
        b2():
          to b1(v5)
        b3():
          return",
    );
}

#[test]
fn a_way_without_an_immediate_takes_a_number() {
    let after = after(&parse(&COUNTED.replace("add.w v5, v2, #16", "addw v5, v2, #2020"))).unwrap();
    let text = print(&after);
    assert!(text.contains("movw v8, #5392\n  movt v9, #3\n  add.w v7, v0, v9"), "{text}");
}

#[test]
fn what_steps_in_an_access_and_downwards_counts_too() {
    let stepping = COUNTED
        .replace("ldr.w v4, [v2]\n", "ldr.w v4, [v2], #-4 -> v7\n")
        .replace("add.w v5, v2", "add.w v5, v7");
    let text = print(&after(&parse(&stepping)).unwrap());
    assert!(text.contains("add.w v8, v0, #1200") && text.contains("cmp.w v5, v8"), "{text}");
    let down = print(&after(&parse(&COUNTED.replace("add.w v5, v2, #16", "sub.w v5, v2, #4"))).unwrap());
    assert!(down.contains("sub.w v7, v0, #400"), "{down}");
}

#[test]
fn what_goes_on_behind_goes_on_where_the_loop_leaves_its_pointer() {
    let outer = |behind: &str| {
        format!(
            "
            b0():
              given v0
              mov.w v1, #3
              to b1(v0, v1)
            b1(v2, v3):
              mov.w v4, #10
              to b2(v2, v4)
            b2(v5, v6):
              ldr.w v7, [v5]
              add.w v8, v5, #4
              subs.w v9, v6, #1
              ne b3 b4
            b3():
              to b2(v8, v9)
            b4():
              {behind}
              subs.w v11, v3, #1
              ne b5 b6
            b5():
              to b1(v10, v11)
            b6():
              return"
        )
    };
    changes(
        &outer("add.w v10, v2, #40"),
        "
        b0():
          given v0
          add.w v13, v0, #120
          to b1(v0)
        b1(v2):
          add.w v12, v2, #40
          to b2(v2)
        b2(v5):
          ldr.w v7, [v5]
          add.w v8, v5, #4
          cmp.w v8, v12
          ne b3 b4
        b3():
          to b2(v8)
        b4():
          cmp.w v8, v13
          ne b5 b6
        b5():
          to b1(v8)
        b6():
          return",
    );
    // Elsewhere, or where the start of the loop is still read behind it, the pointer keeps its own step.
    let text = print(&after(&parse(&outer("add.w v10, v2, #44"))).unwrap());
    assert!(text.contains("add.w v10, v2, #44\n  cmp.w v10, v13"), "{text}");
    let text = print(&after(&parse(&outer("str.w v1, [v2]\n add.w v10, v2, #40"))).unwrap());
    assert!(text.contains("add.w v10, v2, #40\n  cmp.w v10, v13"), "{text}");
}

#[test]
fn refused_where_the_counter_is_read_or_no_pointer_moves_alike_on_every_way() {
    let with = |from: &str, to: &str| COUNTED.replace(from, to);
    stays(&with("ldr.w v4, [v2]", "str.w v3, [v2]"));
    stays(&with("add.w v5, v2, #16", "add.w v5, v2, #0"));
    stays(&with("add.w v5, v2, #16", "add.w v5, v2, v4"));
    stays(&with("add.w v5, v2, #16", "mov.w v5, #16"));
    stays(&with("mov.w v1, #100", "ldr.w v1, [v0]"));
    stays(&with("subs.w v6, v3, #1", "subs.w v6, v3, #2"));
    stays(&with("to b1(v5, v6)", "to b1(v2, v6)"));
    // Two pointers that change places, each moved by 16.
    stays(
        "
        b0():
          given v0
          add.w v1, v0, #256
          mov.w v2, #100
          to b1(v0, v1, v2)
        b1(v3, v4, v5):
          ldr.w v6, [v3]
          add.w v7, v3, #16
          add.w v8, v4, #16
          subs.w v9, v5, #1
          ne b2 b3
        b2():
          to b1(v8, v7, v9)
        b3():
          return",
    );
    // A pointer that an inner loop moves as well.
    stays(
        "
        b0():
          given v0
          mov.w v1, #3
          to b1(v0, v1)
        b1(v2, v3):
          ldr.w v4, [v2]
          to b2(v2, v4)
        b2(v5, v6):
          add.w v7, v5, #4
          subs.w v8, v6, #1
          ne b3 b4
        b3():
          to b2(v7, v8)
        b4():
          add.w v9, v7, #4
          subs.w v10, v3, #1
          ne b5 b6
        b5():
          to b1(v9, v10)
        b6():
          return",
    );
}

#[test]
fn a_way_of_all_memory_is_refused() {
    let around = COUNTED.replace("mov.w v1, #100", "movw v1, #4096").replace("#16\n", "#1048576\n");
    stays(&around);
}

#[test]
fn members_of_a_group_have_their_ends_in_their_tables() {
    let text = "
        b0():
          given v0 v1
          ldr.w v2, [v1]
          to b1(v0, v2)
        b1(v3, v4):
          ldr.w v5, [v3]
          add.w v6, v3, #8
          subs.w v7, v4, #1
          ne b2 b3
        b2():
          to b1(v6, v7)
        b3():
          ldr.w v8, [v1, #4]
          str.w v8, [v6]
          return";
    let words = |numbers: [i64; 3]| numbers.map(Word::Number).to_vec();
    let mut function = parse(text);
    function.parameters = vec![words([3, 5, 70_000]), words([1, 2, 3])];
    let after = after(&function).expect("the numbers of iterations are known");
    assert_eq!(
        after.parameters,
        [words([1, 2, 3]), words([24, 40, 560_000])],
        "nothing loads the first any more"
    );
    function.parameters[0][1] = Word::Number(0);
    assert!(ends(&function, &[BlockId(1)]).is_none(), "no loop runs no time at all");
}

/// Three loops around an access, with one or two pointers that fit into each other or do not.
fn nest(numbers: &mut Numbers) -> Function {
    let mut n_regs = 1;
    let mut new = || {
        n_regs += 1;
        format!("v{}", n_regs - 1)
    };
    let trips: Vec<usize> = (0..3).map(|_| 1 + numbers.below(5)).collect();
    let mut starts = vec!["v0".to_string(); 1 + numbers.below(2)];
    let (mut head, mut tail) = (String::from("b0():\n given v0\n"), String::new());
    let mut counters = Vec::new();
    let mut pointers = Vec::new();
    for (depth, trips) in trips.iter().enumerate() {
        let (count, counter) = (new(), new());
        let params: Vec<String> = starts.iter().map(|_| new()).collect();
        head += &format!(" mov.w {count}, #{trips}\n to b{}({}, {count})\n", depth + 1, starts.join(", "));
        head += &format!("b{}({}, {counter}):\n", depth + 1, params.join(", "));
        starts.clone_from(&params);
        counters.push(counter);
        pointers.push(params);
    }
    head += &format!(" ldr.w {}, [{}]\n", new(), starts[0]);
    let mut steps = vec![4; starts.len()];
    for depth in (0..3).rev() {
        if numbers.below(3) == 0 {
            tail += &format!(" str.w v0, [{}]\n", pointers[depth][0]);
        }
        let (mut passed, latch) = (Vec::new(), 8 - 2 * depth);
        for (pointer, step) in pointers[depth].iter().zip(&mut steps) {
            passed.push(new());
            tail += &format!(" add.w {}, {pointer}, #{step}\n", passed[passed.len() - 1]);
            *step = *step * trips[depth] + 4 * (numbers.below(3) / 2);
        }
        passed.push(new());
        tail += &format!(
            " subs.w {}, {}, #1\n ne b{latch} b{}\n",
            passed[passed.len() - 1],
            counters[depth],
            latch + 1
        );
        tail += &format!("b{latch}():\n to b{}({})\nb{}():\n", depth + 1, passed.join(", "), latch + 1);
    }
    parse(&format!("{head}{tail} return"))
}

#[test]
fn random_nests_touch_the_same_memory() {
    let mut numbers = Numbers(7);
    let mut shorter = 0;
    for _ in 0..500 {
        let before = nest(&mut numbers);
        let after = after(&before).expect("every loop moves a pointer");
        let groups =
            |function: &Function| function.blocks.iter().map(|block| block.groups.len()).sum::<usize>();
        shorter += usize::from(groups(&after) < groups(&before));
    }
    assert!(shorter > 100, "pointers went on in {shorter} nests");
}
