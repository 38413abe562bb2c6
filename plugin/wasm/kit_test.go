package wasm_test

import (
	"encoding/binary"
	"strings"
)

const magic = "\x00asm\x01\x00\x00\x00"

// Builders of modules: strings of bytes that are put into each other.

func uleb(n int) string { return string(binary.AppendUvarint(nil, uint64(n))) }

// sec is a section.
func sec(id byte, content ...string) string {
	s := strings.Join(content, "")
	return string(id) + uleb(len(s)) + s
}

// vec is a vector of items.
func vec(items ...string) string { return uleb(len(items)) + strings.Join(items, "") }

// times is a vector of n equal items.
func times(n int, item string) string { return uleb(n) + strings.Repeat(item, n) }

// body is a function without locals, the code without its end.
func body(code ...string) string {
	s := "\x00" + strings.Join(code, "") + "\x0b"
	return uleb(len(s)) + s
}

// mod is a module of sections.
func mod(sections ...string) []byte { return []byte(magic + strings.Join(sections, "")) }

// fn is a module of one function of type () -> (), exported as "f", with that code and one page of memory.
func fn(code ...string) []byte {
	return mod(sec(1, vec("\x60\x00\x00")), sec(3, vec("\x00")), sec(5, vec("\x01\x01\x01")), sec(7, vec("\x01f\x00\x00")), sec(10, vec(body(code...))))
}
