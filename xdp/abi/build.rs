//! Generates the Rust side of `xdp/bpf/abi.h`: structs and constants by bindgen, and the labelled
//! enums from the X-macro lists.

use std::{env, fmt::Write as _, fs, path::PathBuf};

const HEADER: &str = "../bpf/abi.h";

fn main() {
    println!("cargo:rerun-if-changed={HEADER}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    bindgen::builder()
        .header(HEADER)
        .allowlist_type("palisade_(?:reason|counter|lpm4_key|lpm6_key|flow_key|flow_verdict|learned_flow|endpoint|interface|shim|state|event|policy_line)")
        .allowlist_var("(?:PALISADE|BAN|FLOW|LEARNED|ENDPOINT|INTERFACE|ACTION|SHIM|PORTS|POLICY)_.*")
        .layout_tests(false)
        .prepend_enum_name(false)
        .use_core()
        .derive_default(true)
        .derive_eq(true)
        .derive_hash(true)
        .generate()
        .expect("abi.h is read by bindgen")
        .write_to_file(out.join("abi.rs"))
        .expect("OUT_DIR is writable");

    let header = fs::read_to_string(HEADER).expect("abi.h is readable");
    let mut enums = String::new();
    for (list, name, doc) in [
        ("PALISADE_VERDICTS", "Verdict", "What becomes of a packet."),
        (
            "PALISADE_REASONS",
            "Reason",
            "Why a verdict was reached: the closed list of `abi.h`.",
        ),
        ("PALISADE_STAGES", "Stage", "Where a packet was judged."),
    ] {
        enums.push_str(&labelled_enum(&entries(&header, list), name, doc));
    }
    fs::write(out.join("enums.rs"), enums).expect("OUT_DIR is writable");
}

/// The `X(NAME, number, "label")` entries of one list, in order.
fn entries(header: &str, list: &str) -> Vec<(String, u8, String)> {
    let start = header
        .find(&format!("#define {list}(X)"))
        .unwrap_or_else(|| panic!("abi.h defines {list}"));
    header[start..]
        .lines()
        .skip(1)
        .scan(true, |more, line| {
            std::mem::replace(more, line.trim_end().ends_with('\\')).then_some(line)
        })
        .filter_map(|line| line.split_once("X(")?.1.split_once(')'))
        .map(|(entry, _)| {
            let mut fields = entry.split(',').map(str::trim);
            let mut field = || fields.next().expect("an entry has three fields");
            let name = field().to_owned();
            let number = field().parse().expect("the second field is a number");
            (name, number, field().trim_matches('"').to_owned())
        })
        .collect()
}

fn camel(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{first}{}", rest.to_lowercase())
        })
        .collect()
}

fn labelled_enum(entries: &[(String, u8, String)], name: &str, doc: &str) -> String {
    let mut text = format!(
        "#[doc = \"{doc}\"]\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n\
         #[repr(u8)]\npub enum {name} {{\n"
    );
    for (variant, number, label) in entries {
        let _ = writeln!(
            text,
            "    #[doc = \"`{label}`\"]\n    {} = {number},",
            camel(variant)
        );
    }
    let count = entries.len();
    let _ = writeln!(text, "}}\n\nimpl {name} {{");
    let _ = writeln!(
        text,
        "    /// How many there are; numbers run from zero without a gap."
    );
    let _ = writeln!(text, "    pub const COUNT: usize = {count};");
    let _ = writeln!(text, "    /// All of them, ordered by number.");
    let _ = write!(text, "    pub const ALL: [Self; {count}] = [");
    for (variant, ..) in entries {
        let _ = write!(text, "Self::{}, ", camel(variant));
    }
    text.push_str("];\n    /// The spelling in metrics, events, API and CLI.\n");
    text.push_str("    pub const fn label(self) -> &'static str {\n        match self {\n");
    for (variant, _, label) in entries {
        let _ = writeln!(text, "            Self::{} => \"{label}\",", camel(variant));
    }
    text.push_str("        }\n    }\n    /// The one with this number, if there is one.\n");
    text.push_str("    pub fn from_number(number: u8) -> Option<Self> {\n");
    text.push_str("        Self::ALL.get(usize::from(number)).copied()\n    }\n}\n\n");
    text
}
