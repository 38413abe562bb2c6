package quictest

import (
	"encoding/csv"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The tables of duties and of attacks, with the tests that show them done.
const (
	conformance = "../../docs/conformance.csv"
	security    = "../../docs/security.csv"
)

// TestConformanceTableNamesTestsThatExist also asks for every duty of the
// transport: 125 to 154 and 156 are HTTP's.
func TestConformanceTableNamesTestsThatExist(t *testing.T) {
	duties := append(numbers(1, 124), 155, 157, 158)
	checkTable(t, conformance, regexp.MustCompile(`^rfc\d+-[0-9A-Z.]+-(\d+)$`), duties)
}

func TestSecurityTableNamesTestsThatExist(t *testing.T) {
	checkTable(t, security, regexp.MustCompile(`^attack-(\d+)$`), append(numbers(1, 38), 43))
}

// checkTable checks a table with the columns id, what, status, tests: ids of that
// form, which has the row's number in it, numbers that must not be missing, and
// tests that exist.
func checkTable(t *testing.T, path string, form *regexp.Regexp, wanted []int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	tests := testFunctions(t, "../..")
	seen, count, there := map[string]bool{}, map[string]int{}, map[int]bool{}
	for _, row := range rows[1:] {
		id, status, names := row[0], row[2], strings.Fields(row[3])
		number := form.FindStringSubmatch(id)
		if number == nil || seen[id] {
			t.Errorf("%s: want an id of the form %v, once", id, form)
			continue
		}
		n, _ := strconv.Atoi(number[1])
		seen[id], there[n] = true, true
		count[status]++
		checkStatus(t, id, status, len(names))
		for _, name := range names {
			if !tests[name] {
				t.Errorf("%s: there is no test %s", id, name)
			}
		}
	}
	for _, n := range wanted {
		if !there[n] {
			t.Errorf("%s: number %d is missing", path, n)
		}
	}
	t.Logf("of %d rows: %v", len(rows)-1, count)
}

func checkStatus(t *testing.T, id, status string, tests int) {
	t.Helper()
	switch status {
	case "tested", "partly":
		if tests == 0 {
			t.Errorf("%s is %s by no test", id, status)
		}
	case "not yet":
		if tests > 0 {
			t.Errorf("%s is not yet done, and yet tested", id)
		}
	default:
		t.Errorf("%s: status %q, want tested, partly or not yet", id, status)
	}
}

// numbers counts from one number to another.
func numbers(from, to int) (list []int) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
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
