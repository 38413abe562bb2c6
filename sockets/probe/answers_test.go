package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAnswersAreReadAndCompared(t *testing.T) {
	want, err := readAnswers("golden", strings.NewReader("# comment\n\na: one, two\nb: yes\nc: left out: no such thing\nd: yes\n"))
	if err != nil || len(want) != 4 || want[0] != (answer{"a", "one, two"}) {
		t.Fatalf("readAnswers = %v, %v", want, err)
	}
	got := []answer{{"a", "one, three"}, {"b", "yes"}, {"c", "yes"}, {"d", "no"}, {"e", "new"}}
	list := compare(got, want, []answer{{"d", "because"}})
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.name
	}
	if !slices.Equal(names, []string{"a", "d", "e"}) {
		t.Errorf("%v differ, want a, d and e", names)
	}
	var text strings.Builder
	if bad := report(&text, list); bad != 2 {
		t.Errorf("%d may not differ, want 2:\n%s", bad, &text)
	}
	for _, line := range []string{
		"a: differs\n   want  one, [two]\n   got   one, [three]\n",
		"d: differs, and may: because\n",
		"e: differs\n   want  [" + missing + "]\n",
	} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("the report lacks %q:\n%s", line, &text)
		}
	}
}

func TestAnswersThatAreNoneAreRefused(t *testing.T) {
	many := new(strings.Builder)
	for i := range maxAnswers + 1 {
		fmt.Fprintf(many, "n%d: x\n", i)
	}
	for text, want := range map[string]string{
		"a: x\nno answer\n":        "golden:2: ",
		"two words: x\n":           "golden:1: ",
		"a: x\na: y\n":             "a second time",
		many.String():              "more than",
		strings.Repeat("x", 1<<17): "token too long",
	} {
		if _, err := readAnswers("golden", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("readAnswers(%.20q) = %v, want an error with %q", text, err, want)
		}
	}
}

func TestScriptsAreParsed(t *testing.T) {
	steps, err := parseScript("note k; back 80 say a b,half ;send 5;oob !", ";")
	want := []step{{"note", 0, "k"}, {"back", 80, "say a b,half"}, {"send", 5, "5"}, {"oob", 0, "!"}}
	if err != nil || !slices.Equal(steps, want) {
		t.Errorf("parseScript = %v, %v, want %v", steps, err, want)
	}
	for _, bad := range []string{"", "dance", "send", "send x", "send -1", "send 1073741825", "pause 10001", "half now", "note", "back", "back 65536 eof",
		"back 1 dance", strings.Repeat("x", maxScript+1)} {
		if _, err := parseScript(bad, ";"); err == nil {
			t.Errorf("parseScript(%.30q) accepts it", bad)
		}
	}
}

func FuzzParseScript(f *testing.F) {
	for _, s := range []string{"echo", "note k;read 1;eof;tell", "back 4711 note k,send 5,rst", "say ;;", "send 1073741824"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		steps, err := parseScript(line, ";")
		if err == nil && (len(steps) == 0 || len(steps) > maxScript || steps[0].n > maxBytes) {
			t.Errorf("parseScript(%q) = %v", line, steps)
		}
	})
}

func FuzzReadAnswers(f *testing.F) {
	f.Add("a: b\n")
	f.Add("# c\n\na: left out: b\nb: c, d\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := readAnswers("fuzz", strings.NewReader(text))
		if err == nil && len(compare(list, list, nil)) != 0 {
			t.Errorf("%q differs from itself", text)
		}
	})
}
