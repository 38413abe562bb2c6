package wat_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/wat"
)

const errorCases = "testdata/errors.txt"

// errorCase is a source and what Assemble says of it.
type errorCase struct{ src, said string }

// readErrorCases splits a file of cases: source, "----", errors, "====".
func readErrorCases(t testing.TB) (list []errorCase) {
	t.Helper()
	for _, part := range strings.Split(strings.TrimSuffix(string(read(t, errorCases)), "====\n"), "====\n") {
		src, said, ok := strings.Cut(part, "----\n")
		if !ok {
			t.Fatalf("%s: a case without ----:\n%s", errorCases, part)
		}
		list = append(list, errorCase{src, said})
	}
	return list
}

// TestErrorsSayWhatWhereAndWhatToDo compares with a golden file; -update
// rewrites what is said, which is then to be read line by line.
func TestErrorsSayWhatWhereAndWhatToDo(t *testing.T) {
	var out strings.Builder
	for _, c := range readErrorCases(t) {
		_, err := wat.Assemble("cc.wat", []byte(c.src))
		said := ""
		if err != nil {
			said = err.Error() + "\n"
		}
		if said == "" {
			t.Errorf("assembled, want %s\n%s", c.said, c.src)
		}
		if said != c.said && !*update {
			t.Errorf("%s\ngot  %swant %s", c.src, said, c.said)
		}
		out.WriteString(c.src + "----\n" + said + "====\n")
	}
	if *update {
		if err := os.WriteFile(errorCases, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestErrorsAreTyped(t *testing.T) {
	_, err := wat.Assemble("cc.wat", []byte("(func\n  i64.sub1)"))
	var e *wat.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T, want an *Error in it", err)
	}
	want := wat.Error{File: "cc.wat", Line: 2, Column: 3, Kind: wat.Unknown, Problem: "unknown instruction", Found: `"i64.sub1"`, Hint: `did you mean "i64.sub"?`}
	if *e != want {
		t.Errorf("%+v, want %+v", *e, want)
	}
}

func TestColumnsCountCharacters(t *testing.T) {
	_, err := wat.Assemble("cc.wat", []byte("(; äöü ;) bad"))
	var e *wat.Error
	if !errors.As(err, &e) || e.Line != 1 || e.Column != 11 {
		t.Errorf("%v, want column 11", err)
	}
}
