package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCellsOfOneImplementationAreCounted(t *testing.T) {
	for _, tt := range []struct {
		name, json, of, want string
		status               int
	}{
		{"all passed", `{"servers":["q","x"],"clients":["q"],"results":[[{"name":"h","result":"succeeded"},{"name":"r","result":"unsupported"}],[{"name":"h","result":"succeeded"}]]}`, "q",
			"2 passed, 0 failed, 1 unsupported\n", 0},
		{"client-major", `{"servers":["q","x"],"clients":["x","q"],"results":[[{"name":"h","result":"succeeded"}],[{"name":"h","result":"succeeded"}],[{"name":"h","result":"succeeded"}],[{"name":"h","result":"failed","reason":"no file"}]]}`, "q",
			"FILE: h, client q, server x: failed: no file\n2 passed, 1 failed, 0 unsupported\n", 1},
		{"the failure is known", `{"servers":["q","peer"],"clients":["q"],"results":[[{"name":"h","result":"succeeded"}],[{"name":"r","result":"failed"},{"name":"h","result":"succeeded"}]]}`, "q",
			"FILE: r, client q, server peer: known: it never learned that\n2 passed, 0 failed, 0 unsupported\n", 0},
		{"another is known", `{"servers":["q","peer"],"clients":["q"],"results":[[{"name":"r","result":"failed","reason":"x"}],[{"name":"h","result":"succeeded"}]]}`, "q",
			"FILE: r, client q, server q: failed: x\n1 passed, 1 failed, 0 unsupported\n", 1},
		{"a measurement failed", `{"servers":["q"],"clients":["q"],"results":[[{"name":"h","result":"succeeded"}]],"measurements":[[{"name":"goodput","result":"failed","reason":"slow"}]]}`, "q",
			"FILE: goodput, client q, server q: failed: slow\n1 passed, 1 failed, 0 unsupported\n", 1},
		{"not run", `{"servers":["q"],"clients":["q"],"results":[[{"name":"h","result":null}]]}`, "q",
			"FILE: h, client q, server q: not run\n0 passed, 1 failed, 0 unsupported\n", 1},
		{"nobody of that name", `{"servers":["x"],"clients":["x"],"results":[[{"name":"h","result":"succeeded"}]]}`, "q",
			"0 passed, 0 failed, 0 unsupported\n", 1},
		{"a pair is missing", `{"servers":["x"],"clients":["x"],"results":[]}`, "q", "", 2},
		{"no JSON", `{`, "q", "", 2},
	} {
		path := filepath.Join(t.TempDir(), "result.json")
		if err := os.WriteFile(path, []byte(tt.json), 0o666); err != nil {
			t.Fatal(err)
		}
		known := filepath.Join(t.TempDir(), "known")
		if err := os.WriteFile(known, []byte("# test client server why\n\nr q peer  it never learned that\nh q peer  it passes today\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		status := run([]string{"-of", tt.of, "-known", known, path}, &out, &errs)
		got := string(bytes.ReplaceAll(out.Bytes(), []byte(path), []byte("FILE")))
		if status != tt.status || got != tt.want || (status == 2) != (errs.Len() > 0) {
			t.Errorf("%s: status %d, %q, %q on stderr, want %d with %q", tt.name, status, got, &errs, tt.status, tt.want)
		}
	}
	if status := run(nil, &bytes.Buffer{}, &bytes.Buffer{}); status != 2 {
		t.Errorf("no file: status %d, want 2", status)
	}
}

func TestKnownFailuresNeedAReason(t *testing.T) {
	known := filepath.Join(t.TempDir(), "known")
	if err := os.WriteFile(known, []byte("r q peer\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{known, known + ".missing"} {
		var out, errs bytes.Buffer
		if status := run([]string{"-known", file, "result.json"}, &out, &errs); status != 2 || errs.Len() == 0 {
			t.Errorf("-known %s: status %d, %q, want 2 and what is wrong", file, status, &errs)
		}
	}
}
