//! Links the addon.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let arguments: &[&str] = match system.as_str() {
        // Node unloads an addon with the last worker thread that loaded it, while a thread of ours
        // may still be on its way out: the image stays.
        "linux" => &["-Wl,-z,nodelete"],
        // Node's functions are found when it loads the addon.
        "macos" => &["-undefined", "dynamic_lookup"],
        _ => &[],
    };
    for argument in arguments {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
