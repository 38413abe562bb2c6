package wasm

import (
	"errors"
	"fmt"
)

var (
	// ErrMalformed is matched by every *Error about bytes that are no WebAssembly module, or one beyond the limits of this package.
	ErrMalformed = errors.New("malformed module")
	// ErrRefused is matched by every *Error about a module that is well-formed and breaks a rule of Check.
	ErrRefused = errors.New("module refused")
)

// Error says what is wrong with a module and where. It matches ErrRefused if Rule is set, else ErrMalformed.
type Error struct {
	Offset   int    // in bytes from the start of the module, where the offending item begins
	Section  string // the section, by its name in the specification: "code"; empty for the module as a whole
	Function int    // the index of the function, -1 = not about a function
	Name     string // the function's name in the name section; empty if it has none
	Rule     string // the rule of Check that refuses the module; empty if the module is malformed
	Reason   string // what was found and what was expected
}

// Error returns one sentence.
func (e *Error) Error() string {
	s := "wasm: "
	if e.Section != "" {
		s += e.Section + " section, "
	}
	s += fmt.Sprintf("offset %d", e.Offset)
	if e.Function >= 0 {
		s += fmt.Sprintf(", function %d", e.Function)
		if e.Name != "" {
			s += fmt.Sprintf(" %q", e.Name)
		}
	}
	if e.Rule != "" {
		s += ": rule " + e.Rule
	}
	return s + ": " + e.Reason
}

// Is reports whether target is the class of e: ErrMalformed or ErrRefused.
func (e *Error) Is(target error) bool {
	if e.Rule != "" {
		return target == ErrRefused
	}
	return target == ErrMalformed
}

// malformed returns an error about bytes at offset.
func malformed(offset int, section, format string, args ...any) *Error {
	return &Error{Offset: offset, Section: section, Function: -1, Reason: fmt.Sprintf(format, args...)}
}

// refused returns an error about an item at offset that breaks a rule.
func refused(rule string, offset int, section, format string, args ...any) *Error {
	return &Error{Offset: offset, Section: section, Function: -1, Rule: rule, Reason: fmt.Sprintf(format, args...)}
}
