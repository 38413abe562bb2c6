package doctor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/internal/seccomp"
)

const examineLimit = 20 * time.Second // for all that Examine tries

// A Report is what this machine allows.
type Report struct {
	System   string  `json:"system"`           // "Linux 6.18.44 on amd64"
	User     int     `json:"user"`             // -1 = the system has no such numbers
	Around   string  `json:"around,omitempty"` // the container or the filter around this process
	Facts    []Fact  `json:"facts"`            // in the order in which people ask
	Choice   *Choice `json:"choice,omitempty"` // nil = there is no way
	Trouble  string  `json:"error,omitempty"`  // why there is no way
	Hint     string  `json:"hint,omitempty"`   // what to do about it
	Blocking []Fact  `json:"-"`                // what is in the way
}

// Examine tries all and decides for any mode. What it makes goes with the
// processes and threads it makes it in. It takes part of a second, and ends with ctx.
func Examine(ctx context.Context) Report {
	limited, cancel := context.WithTimeout(ctx, examineLimit)
	defer cancel()
	r := Report{System: systemName(), User: userNumber(), Around: around(), Facts: examine(limited)}
	r.conclude()
	return r
}

// conclude decides by the facts.
func (r *Report) conclude() {
	choice, err := Decide(r.Facts, ModeAuto)
	if err != nil {
		r.Trouble = err.Error()
		if unable, ok := errors.AsType[*UnableError](err); ok {
			r.Hint, r.Blocking = unable.Hint(), unable.Missing
		}
		return
	}
	r.Choice = &choice
	unneeded, since := ByUser, "this user has the privileges"
	if choice.UserNamespace {
		unneeded, since = ByRoot, "user namespaces work"
	}
	for i := range r.Facts {
		if f := &r.Facts[i]; f.Need == unneeded && f.State == Missing {
			f.Hint = "not needed, since " + since
		}
	}
}

// Blocks reports whether f is in the way of every run.
func (r *Report) Blocks(f Fact) bool {
	return slices.ContainsFunc(r.Blocking, func(b Fact) bool { return b.Name == f.Name })
}

// Choose returns the way for a run in the mode want: "", ModeAuto, ModeInside or
// ModeOutside. It tries what decides and no more, in a few milliseconds. The
// error is an *UnableError, which names what is missing and has a hint, or a *WantError.
func Choose(ctx context.Context, want string) (Choice, error) {
	if _, err := Decide(nil, want); err != nil {
		return Choice{}, err // before anything is tried
	}
	if err := ctx.Err(); err != nil {
		return Choice{}, err
	}
	facts := append([]Fact{platform()}, seccompFacts()...)
	return Decide(append(facts, privileges(false)...), want)
}

// platform is the fact without which there is no other.
func platform() Fact {
	f := Fact{Name: "platform", What: "Linux on amd64 or arm64", Need: ByAll}
	if runtime.GOOS == "linux" && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") {
		return f.there("")
	}
	return f.missing("this is "+systemName(), "run it in a virtual machine or container with Linux")
}

// seccompFacts are those of the kernel's part in trapping system calls.
func seccompFacts() []Fact {
	var facts []Fact
	for _, s := range seccomp.Supported().Features {
		f := Fact{Name: "seccomp-" + s.Name, What: s.What, Since: s.Since, Hint: "it came with Linux " + s.Since}
		if s.Needed {
			f.Need = ByAll
		}
		if errors.Is(s.Err, seccomp.ErrNested) {
			f.Hint = "start the program outside of it, or leave it to the outer one: what runs under quiver stays under quiver"
		}
		facts = append(facts, f.tried(s.Err))
	}
	return facts
}

// systemName is the system and processor that this program was built for, with
// the version of the kernel where it is known.
func systemName() string {
	name := runtime.GOOS
	if name == "linux" {
		name = "Linux"
	}
	if release := kernelRelease(); release != "" {
		name += " " + release
	}
	return fmt.Sprintf("%s on %s", name, runtime.GOARCH)
}

// oneLine makes an error's text one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
