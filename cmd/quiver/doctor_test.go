package main

import (
	"context"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/seed51309289/quiver/sockets/doctor"
)

// reports are what a doctor finds on machines that are unlike each other.
func reports() map[string]doctor.Report {
	notify := doctor.Fact{Name: "seccomp-notify", What: "asking a supervisor about a call", Since: "5.0", Need: doctor.ByAll, State: doctor.There}
	without := notify
	without.State, without.Found, without.Hint = doctor.Missing, "seccomp(2): invalid argument", "it came with Linux 5.0"
	privileges := doctor.Fact{Name: "privileges", What: "a network and a packet filter for the program, as root", Need: doctor.ByRoot, State: doctor.Missing,
		Found: "this user lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_PTRACE", Hint: "not needed, since user namespaces work"}
	return map[string]doctor.Report{
		"nobody": {System: "Linux 6.12.0 on arm64", User: 4_000_000,
			Facts: []doctor.Fact{notify, privileges,
				{Name: "network-namespace", What: "the network for it", Need: doctor.ByRoot, Found: "not tried: it takes the privileges"},
				{Name: "user-namespace", What: "the same for everybody, without root", Need: doctor.ByUser, State: doctor.There},
				{Name: "descriptors", What: "many connections: each takes one", State: doctor.There, Found: "20000"}},
			Choice: &doctor.Choice{Mode: doctor.ModeInside, UserNamespace: true, Why: "this user lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_PTRACE, and user namespaces work"}},
		"old": {System: "Linux 4.19.0 on amd64", User: 0, Around: "looks like a Docker container", Facts: []doctor.Fact{without}, Blocking: []doctor.Fact{without},
			Trouble: "quiver run cannot work here: no seccomp-notify: seccomp(2): invalid argument", Hint: "it came with Linux 5.0; or use 'quiver gateway'"},
		"foreign": {System: "darwin on arm64", User: -1, Facts: []doctor.Fact{{Name: "platform", What: "Linux", State: doctor.Missing, Found: "this is darwin"}}},
	}
}

func TestDoctorSpeaksToPeopleAtEveryWidth(t *testing.T) {
	for name, r := range reports() {
		for width, file := range map[int]string{0: "doctor-" + name + ".txt", 60: "doctor-" + name + "-60.txt"} {
			var b strings.Builder
			if err := writeReport(&b, &r, width, false); err != nil {
				t.Fatal(err)
			}
			wantText(t, file, b.String())
			for line := range strings.Lines(b.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > 0 && n > width && strings.HasPrefix(line, " ") {
					t.Errorf("%d columns, want at most %d: %s", n, width, line)
				}
			}
		}
	}
}

func TestDoctorHasASignBesideEachColour(t *testing.T) {
	r := reports()["nobody"]
	var plainly, colourfully strings.Builder
	writeReport(&plainly, &r, 80, false)
	writeReport(&colourfully, &r, 80, true)
	without := strings.NewReplacer("\x1b[32m", "", "\x1b[31m", "", "\x1b[33m", "", "\x1b[2m", "", "\x1b[0m", "").Replace(colourfully.String())
	if without != plainly.String() || without == colourfully.String() {
		t.Errorf("with colours\n%q\nwithout\n%q", colourfully.String(), plainly.String())
	}
}

func TestDoctorFailsWhereThereIsNoWay(t *testing.T) {
	good, bad := reports()["nobody"], reports()["old"]
	if err := doctorStatus(&good, false); err != nil {
		t.Errorf("with a way: %v", err)
	}
	s := statusOf(doctorStatus(&bad, false))
	if s.code != exitFailed || s.Error() != bad.Trouble || s.hint != bad.Hint {
		t.Errorf("without a way: %+v, want the trouble and the hint", s)
	}
	if s := statusOf(doctorStatus(&bad, true)); s.code != exitFailed || s.err != nil {
		t.Errorf("without a way, in JSON: %+v, want a silent failure", s)
	}
}

func TestTextOfTheMachineCannotDriveTheTerminal(t *testing.T) {
	bad := "x\x1b[2J\x00"
	f := doctor.Fact{Name: bad, What: bad, State: doctor.Missing, Found: bad, Hint: bad}
	r := doctor.Report{System: bad, Around: bad, Facts: []doctor.Fact{f}, Choice: &doctor.Choice{Mode: bad, Why: bad}}
	var b strings.Builder
	writeReport(&b, &r, 80, false)
	for _, c := range b.String() {
		if c != '\n' && !unicode.IsPrint(c) {
			t.Fatalf("%q in\n%q", c, b.String())
		}
	}
}

func TestHintNamesWhatIsMissingOnlyIfSomethingIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, want := hintOfDoctor(ctx, ""), "'quiver doctor' tells what this machine allows"; got != want {
		t.Errorf("hint %q without an answer of the doctor, want %q", got, want)
	}
	got := hintOfDoctor(t.Context(), "")
	if _, err := doctor.Choose(t.Context(), ""); (err != nil) != strings.Contains(got, "cannot work here") {
		t.Errorf("hint %q, but Choose: %v", got, err)
	}
}
