//! Gives the shared library its name and pins it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The number is that of `connector_abi_version()`.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libdeepstream_connector.so.0");
        // Our threads may outlive a `dlclose`, so their code must, too.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
