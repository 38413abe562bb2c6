package seccomp

import "fmt"

// Support is what the kernel can do of this package, found by trying; the zero Support is of a system that is not
// Linux on amd64 or arm64.
type Support struct {
	Features []Feature // in the order of their age
}

// Feature is one ability of the kernel.
type Feature struct {
	Name   string // a word: "notify"
	What   string // what it gives: half a sentence
	Since  string // the first Linux that has it: "5.0"
	Needed bool   // without it there is no supervision; else there is another way, or less comfort
	Err    error  // nil if it is there; wraps the error number
}

// Has reports whether the feature of that name is there.
func (s Support) Has(name string) bool {
	for _, f := range s.Features {
		if f.Name == name {
			return f.Err == nil
		}
	}
	return false
}

// Err returns why programs cannot be supervised here, or nil. ErrNested means: because this process is itself.
func (s Support) Err() error {
	for _, f := range s.Features {
		if f.Needed && f.Err != nil {
			return fmt.Errorf("%s (%s) is missing, it came with Linux %s: %w", f.Name, f.What, f.Since, f.Err)
		}
	}
	if len(s.Features) == 0 {
		return fmt.Errorf("seccomp: %w", errUnsupported)
	}
	return nil
}
