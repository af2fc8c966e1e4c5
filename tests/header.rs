//! The committed header is the one that the source gives, and says what the library says; that for C++
//! has all of it.
//!
//! `UPDATE_HEADER=1 cargo test --release -p deepstream-connector-tests header` writes it.
#![allow(clippy::disallowed_methods)] // Tests read C strings as a C host does.

use std::ffi::CStr;
use std::path::Path;

use deepstream_connector::capi;
use deepstream_connector::core::{ErrorCode, LogLevel};

use crate::harness::{test, Test};
use crate::support::ROOT;

/// Every test.
pub const TESTS: &[Test] = &[
    test!(header_is_what_the_source_gives),
    test!(versions_agree),
    test!(every_code_and_level_is_in_the_header),
    test!(every_exported_function_is_documented),
    test!(the_header_for_cpp_has_every_code_level_and_operation),
];

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../include/deepstream_connector.h");

fn generated() -> String {
    let root = Path::new(ROOT);
    let mut config =
        cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is readable");
    config.after_includes = Some(format!(
        "\n/**\n * The version of the library that this header came with.\n */\n#define CONNECTOR_VERSION \"{}\"",
        env!("CARGO_PKG_VERSION")
    ));
    let mut header = Vec::new();
    ["error", "types", "queue_types", "functions", "queue_functions"]
        .iter()
        .fold(cbindgen::Builder::new().with_config(config), |builder, file| {
            builder.with_src(root.join("src/capi").join(file).with_extension("rs"))
        })
        .generate()
        .expect("cbindgen understands the source")
        .write(&mut header);
    String::from_utf8(header).expect("the header is UTF-8")
}

fn committed() -> String {
    std::fs::read_to_string(HEADER).unwrap_or_default()
}

fn header_is_what_the_source_gives() {
    let header = generated();
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(HEADER, &header).expect("include/ is writable");
    }
    assert!(
        header == committed(),
        "include/deepstream_connector.h is stale; run UPDATE_HEADER=1 cargo test --release -p deepstream-connector-tests header"
    );
}

fn versions_agree() {
    // SAFETY: a static text with a NUL at its end, by the function's documentation.
    let version = unsafe { CStr::from_ptr(capi::connector_version()) };
    assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    let header = generated();
    assert!(header.contains(&format!("#define CONNECTOR_VERSION \"{}\"", env!("CARGO_PKG_VERSION"))));
    let abi = capi::connector_abi_version();
    assert!(header.contains(&format!("#define CONNECTOR_ABI_VERSION {abi}\n")));
    let build = include_str!("../build.rs");
    assert!(build.contains(&format!("-soname,libdeepstream_connector.so.{abi}")));
}

fn every_code_and_level_is_in_the_header() {
    let header = generated();
    assert!(header.contains("#define CONNECTOR_OK 0\n"));
    for code in ErrorCode::ALL {
        let number = code as i32;
        assert!(header.contains(&format!("#define CONNECTOR_ERR_{} {number}\n", code.name())), "{code:?}");
        // SAFETY: a static text with a NUL at its end, by the function's documentation.
        let name = unsafe { CStr::from_ptr(capi::connector_error_name(number)) };
        assert_eq!(name.to_str(), Ok(code.name()));
    }
    for level in [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error] {
        let name = level.name().to_uppercase();
        assert!(header.contains(&format!("#define CONNECTOR_LOG_{name} {}\n", level as i32)), "{level:?}");
    }
}

fn every_exported_function_is_documented() {
    let header = generated();
    for (index, line) in header.lines().enumerate() {
        if line.contains(" connector_")
            && line.contains('(')
            && !line.starts_with([' ', '/', '*'])
            && !line.starts_with("typedef")
        {
            let before = header.lines().nth(index - 1).unwrap_or_default();
            assert_eq!(before, " */", "no documentation before: {line}");
        }
    }
}

fn the_header_for_cpp_has_every_code_level_and_operation() {
    let header = generated();
    let cpp = include_str!("../include/deepstream_connector.hpp");
    let defined = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_whitespace().next());
    let constants = ["CONNECTOR_ERR_", "CONNECTOR_LOG_", "CONNECTOR_APPLIED_"];
    for name in defined.filter(|name| constants.iter().any(|prefix| name.starts_with(prefix))) {
        assert!(cpp.contains(&format!(" = {name},\n")), "{name}");
    }
    let functions = header.lines().filter_map(|line| line.strip_prefix("int32_t ")?.split('(').next());
    for name in functions {
        assert!(cpp.contains(name), "{name}");
    }
}
