package pack_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/pack"
)

func TestAFormulaHoldsForTheRightSets(t *testing.T) {
	for _, tc := range []struct {
		text, canonical string
		holds           []string // of the sets of a, b, c, written as their letters
	}{
		{"a", "a", []string{"a", "ab", "ac", "abc"}},
		{"a&(b|c)", "a & (b | c)", []string{"ab", "ac", "abc"}},
		{"a & b | c", "a & b | c", []string{"c", "ab", "ac", "bc", "abc"}},
		{"c | a & b", "c | a & b", []string{"c", "ab", "ac", "bc", "abc"}},
		{"(a | b) & c", "(a | b) & c", []string{"ac", "bc", "abc"}},
		{"((a))", "a", []string{"a", "ab", "ac", "abc"}},
		{"2 of {a, b, c}", "2 of {a, b, c}", []string{"ab", "ac", "bc", "abc"}},
		{"3 of{a,b,c}", "a & b & c", []string{"abc"}},
		{"1 of {a,c}", "a | c", []string{"a", "c", "ab", "ac", "bc", "abc"}},
		{"1 of {b}", "b", []string{"b", "ab", "bc", "abc"}},
		{"a & 1 of {b, c}", "a & (b | c)", []string{"ab", "ac", "abc"}},
		{"a | a & b", "a | a & b", []string{"a", "ab", "ac", "abc"}},
		{"\ta\t", "a", []string{"a", "ab", "ac", "abc"}},
	} {
		f, err := pack.ParseFormula(tc.text)
		if err != nil {
			t.Error(err)
			continue
		}
		var holds []string
		for _, set := range []string{"", "a", "b", "c", "ab", "ac", "bc", "abc"} {
			if f.Holds(func(name string) bool { return strings.Contains(set, name) }) {
				holds = append(holds, set)
			}
		}
		if !slices.Equal(holds, tc.holds) {
			t.Errorf("%s holds for %q, want %q", tc.text, holds, tc.holds)
		}
		if f.String() != tc.canonical {
			t.Errorf("%s is written %q, want %q", tc.text, f, tc.canonical)
		}
	}
	f, err := pack.ParseFormula("zoe & 2 of {bob, al.ice_1-x, carol} | zoe")
	if err != nil || !slices.Equal(f.Names(), []string{"al.ice_1-x", "bob", "carol", "zoe"}) {
		t.Errorf("names %q, %v", f.Names(), err)
	}
}

func TestABrokenFormulaSaysWhere(t *testing.T) {
	for _, tc := range []struct {
		text   string
		column int
		rule   string
	}{
		{"", 1, "want the name of a validator, got the end"},
		{"v1 &", 5, "want the name of a validator, got the end"},
		{"v1 & (v2 | v3", 14, `want "&", "|" or ")", got the end`},
		{"v1 & (v2 | )", 12, `want the name of a validator, got ")"`},
		{"v1 v2", 4, `want "&", "|" or the end, got "v2"`},
		{"v1 && v2", 5, `want the name of a validator, got "&"`},
		{"v1)", 3, `want "&", "|" or the end, got ")"`},
		{"!v1", 1, `want the name of a validator, got "!"`},
		{"v1 & ü", 6, `want the name of a validator, got "\xc3"`},
		{"_v", 1, `want the name of a validator, got "_v"`},
		{"of", 1, `want the name of a validator, got "of"`},
		{"2 {v1}", 3, `want "of", got "{"`},
		{"2 of v1", 6, `want "{", got "v1"`},
		{"2 of {v1, v1}", 11, "v1 is there twice"},
		{"2 of {v1, (v2)}", 11, `want the name of a validator, got "("`},
		{"2 of {v1 v2}", 10, `want "," or "}", got "v2"`},
		{"2 of {v1, v2", 13, `want "," or "}", got the end`},
		{"3 of {v1, v2}", 1, `want a number from 1 to 2, got "3"`},
		{"a & 0 of {v1, v2}", 5, `want a number from 1 to 2, got "0"`},
		{"2x of {v1, v2}", 1, `want a number from 1 to 2, got "2x"`},
		{"18446744073709551617 of {v1, v2}", 1, `want a number from 1 to 2, got "18446744073709551617"`},
		{strings.Repeat("(", pack.MaxFormulaDepth+1) + "a", pack.MaxFormulaDepth + 1, fmt.Sprintf("nested deeper than %d", pack.MaxFormulaDepth)},
	} {
		_, err := pack.ParseFormula(tc.text)
		var e *pack.FormulaError
		if !errors.As(err, &e) || e.Column != tc.column || e.Rule != tc.rule {
			t.Errorf("%q: %v, want column %d: %s", tc.text, err, tc.column, tc.rule)
		}
	}
	deep := strings.Repeat("(", pack.MaxFormulaDepth) + "a" + strings.Repeat(")", pack.MaxFormulaDepth)
	if _, err := pack.ParseFormula(deep); err != nil {
		t.Errorf("a formula of the greatest depth is refused: %v", err)
	}
	full := strings.Repeat("a|", (pack.MaxFormula-1)/2) + "ab"
	if _, err := pack.ParseFormula(full); err != nil || len(full) != pack.MaxFormula {
		t.Errorf("a formula of %d bytes is refused: %v", len(full), err)
	}
	if _, err := pack.ParseFormula(full + "c"); err == nil {
		t.Error("a formula of one byte more than the longest is taken")
	}
}

func FuzzFormula(f *testing.F) {
	for _, text := range []string{"a", "a & (b | c)", "2 of {a, b, c} | d", "((a", "1 of {a}", "3 of {a,b,c,d} & (a|b&c)", "of", "a\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		one, err := pack.ParseFormula(text)
		var e *pack.FormulaError
		if err != nil {
			if !errors.As(err, &e) || e.Column < 1 || e.Column > len(text)+2 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		written := one.String()
		if len(written) > pack.MaxFormula {
			return // it needed less room without spaces
		}
		two, err := pack.ParseFormula(written)
		if err != nil || two.String() != written || !slices.Equal(one.Names(), two.Names()) {
			t.Fatalf("%q is written %q, which is read as %v, %v", text, written, two, err)
		}
		for set := range 1 << min(len(one.Names()), 6) {
			agrees := func(name string) bool { return set>>slices.Index(one.Names(), name)&1 != 0 }
			if one.Holds(agrees) != two.Holds(agrees) {
				t.Fatalf("%q and %q differ on set %b", text, written, set)
			}
		}
		if one.Holds(func(string) bool { return false }) || !one.Holds(func(string) bool { return true }) {
			t.Fatalf("%q holds for nobody, or not for all", text)
		}
	})
}
