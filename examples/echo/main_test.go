package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// start runs a server and returns the arguments for its client.
func start(t *testing.T) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"-listen", "127.0.0.1:0"}, nil, in, io.Discard) }()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("server: exit code %d, want 0", code)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(line)[1:]
}

func client(t *testing.T, args []string, stdin string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out, err bytes.Buffer
	code = run(ctx, args, strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

func TestWhatIsSentComesBack(t *testing.T) {
	text := strings.Repeat("the same again\n", 100_000)
	code, got, stderr := client(t, start(t), text)
	if code != 0 || got != text {
		t.Errorf("exit code %d, %d bytes came back, want 0 and %d; stderr: %s", code, len(got), len(text), stderr)
	}
}

func TestAnotherKeyIsNotTrusted(t *testing.T) {
	args := start(t)
	args[1] = "00"
	code, _, stderr := client(t, args, "secret")
	if code != 1 || !strings.Contains(stderr, "want 00") {
		t.Errorf("exit code %d, stderr %q, want 1 and the two keys", code, stderr)
	}
}

func TestWrongArgumentsAreNamed(t *testing.T) {
	for _, args := range [][]string{nil, {"-nonsense"}, {"-listen", "x", "y"}, {"a", "b"}} {
		if code, _, stderr := client(t, args, ""); code != 2 || stderr == "" {
			t.Errorf("%q: exit code %d, stderr %q, want 2 and a sentence", args, code, stderr)
		}
	}
}
