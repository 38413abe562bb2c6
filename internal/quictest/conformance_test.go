package quictest

import (
	"encoding/csv"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// conformance is the table of duties and the tests that show them done.
const conformance = "../../docs/conformance.csv"

func TestConformanceTableNamesTestsThatExist(t *testing.T) {
	file, err := os.Open(conformance)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	tests := testFunctions(t, "../..")
	form := regexp.MustCompile(`^rfc\d+-[0-9A-Z.]+-\d+$`)
	seen, count := map[string]bool{}, map[string]int{}
	for _, row := range rows[1:] {
		id, status, names := row[0], row[2], strings.Fields(row[3])
		if !form.MatchString(id) || seen[id] {
			t.Errorf("%s: want an id like rfc9000-4.1-1, once", id)
		}
		seen[id] = true
		count[status]++
		switch status {
		case "tested", "partly":
			if len(names) == 0 {
				t.Errorf("%s is %s by no test", id, status)
			}
		case "not yet":
			if len(names) > 0 {
				t.Errorf("%s is not yet done, and yet tested", id)
			}
		default:
			t.Errorf("%s: status %q, want tested, partly or not yet", id, status)
		}
		for _, name := range names {
			if !tests[name] {
				t.Errorf("%s: there is no test %s", id, name)
			}
		}
	}
	t.Logf("of %d duties: %v", len(rows)-1, count)
}

// testFunctions collects the names of all tests below root.
func testFunctions(t *testing.T, root string) map[string]bool {
	found := map[string]bool{}
	name := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range name.FindAllSubmatch(source, -1) {
			found[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
