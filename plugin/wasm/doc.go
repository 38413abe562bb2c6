// Package wasm reads, judges and rewrites WebAssembly modules before an engine sees them.
//
// A plugin arrives as bytes from a stranger. Parse reads the sections and knows where each of them lies; Check refuses what a plugin may not
// contain (threads, imports from elsewhere, memory without bound, instructions that nobody has metered); Meter rewrites the byte code so that
// it pays for every region it runs and traps when it cannot, which bounds a call without a clock, a thread or the help of the engine. Custom,
// WithCustom and WithoutCustom read and change custom sections and leave every other byte as it is, since a digest is taken over them.
//
// All functions are pure, keep nothing between calls and are safe for concurrent use; a Module is read only after Parse. No input panics, and
// time and memory are linear in the size of the input.
//
// # What a metered module pays, and why it cannot pay too little
//
// WebAssembly has structured control flow: the only way back is a branch to a loop header, and nothing enters a block but at its start. So the
// body of a function falls into regions that are entered at their head alone: the body itself, each loop, and each costly rest of a block that
// some path goes by, as the arm of a switch; a region is what of it is not in a region within it. From one passage of a head to the next every
// instruction of the region runs at most once, along a path without cycles. At the head stands a charge of the dearest such path. What runs
// has therefore always been paid for; what was paid for and not run is, in each region, the difference between the path taken and the dearest
// one. A function that may call itself, directly or through others or a table, pays for its whole body at its entry, loops included, and pays
// again in its loops: the frame that an engine gives it is bounded by the size of its body, so fuel bounds the stack as well.
//
// Source: WebAssembly Core Specification 2.0, §5 (binary format) and appendix "Custom Sections".
package wasm
