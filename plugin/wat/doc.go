// Package wat assembles the text format of WebAssembly into the binary format,
// so that who writes a plugin by hand needs no toolchain.
//
// It knows all of WebAssembly Core 2.0: flat and folded instructions, blocks
// with several results, bulk memory, references and 128-bit vectors. It checks
// names, numbers, literals, the form of every field and instruction, and that
// each instruction finds the values that it takes, because it knows the line,
// which a validator does not. The validator has the last word: on constant
// expressions, say, or globals that cannot be set. What a host refuses, such as
// a start function, is assembled.
//
// Types that are implied are added in the order of their use behind those that
// the source defines, and each once, as the specification says (§6.6.2). The
// bytes are those that wat2wasm of wabt 1.0.32 makes; the tests compare them.
//
// # Limitations
//
// There are no annotations, no modules in binary or quoted form, no scripts, and
// no instructions of later proposals; multiple memories have no syntax in
// instructions.
package wat
