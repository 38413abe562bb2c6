package control

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
)

func TestRuntimeDirectoryIsChosenByTheEnvironment(t *testing.T) {
	owners := map[string]int{"/run/user/0": 0, "/run/user/1000": 1000}
	for _, tc := range []struct {
		name     string
		uid      int
		vars     map[string]string
		ours     []string
		readable []string
	}{
		{name: "as told", uid: 1000, vars: map[string]string{"QUIVER_RUNTIME_DIR": "/q", "XDG_RUNTIME_DIR": "/run/user/1000"},
			ours: []string{"/q"}, readable: []string{"/q"}},
		{name: "of a session", uid: 1000, vars: map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000"},
			ours:     []string{"/run/user/1000/quiver", "/var/tmp/quiver-1000"},
			readable: []string{"/run/user/1000/quiver", "/var/tmp/quiver-1000", "/tmp/quiver-1000"}},
		{name: "of nothing", uid: 1000,
			ours:     []string{"/var/tmp/quiver-1000"},
			readable: []string{"/var/tmp/quiver-1000", "/run/user/1000/quiver", "/tmp/quiver-1000"}},
		{name: "of a session that is not there", uid: 1000, vars: map[string]string{"XDG_RUNTIME_DIR": "/run/user/9"},
			ours:     []string{"/var/tmp/quiver-1000"},
			readable: []string{"/var/tmp/quiver-1000", "/run/user/1000/quiver", "/tmp/quiver-1000"}},
		{name: "of a relative path, which is invalid", uid: 1000, vars: map[string]string{"XDG_RUNTIME_DIR": "run"},
			ours:     []string{"/var/tmp/quiver-1000"},
			readable: []string{"/var/tmp/quiver-1000", "/run/user/1000/quiver", "/tmp/quiver-1000"}},
		{name: "of root", uid: 0, ours: []string{"/run/quiver", "/var/tmp/quiver-0"},
			readable: []string{"/run/quiver", "/var/tmp/quiver-0", "/run/user/0/quiver", "/tmp/quiver-0", "/run/user/1000/quiver", "/tmp/quiver-1000", "/var/tmp/quiver-1000"}},
		{name: "of root in a user's session", uid: 0, vars: map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000"},
			ours:     []string{"/run/quiver", "/var/tmp/quiver-0"},
			readable: []string{"/run/quiver", "/var/tmp/quiver-0", "/run/user/0/quiver", "/tmp/quiver-0", "/run/user/1000/quiver", "/tmp/quiver-1000", "/var/tmp/quiver-1000"}},
	} {
		e := environment{
			uid: tc.uid, temp: "/var/tmp",
			getenv: func(name string) string { return tc.vars[name] },
			owner: func(dir string) (int, error) {
				if uid, ok := owners[dir]; ok {
					return uid, nil
				}
				return -1, fs.ErrNotExist
			},
			glob: func(pattern string) []string {
				return map[string][]string{
					"/run/user/*/quiver": {"/run/user/1000/quiver"}, "/tmp/quiver-[0-9]*": {"/tmp/quiver-0", "/tmp/quiver-1000"}, "/var/tmp/quiver-[0-9]*": {"/var/tmp/quiver-1000"},
				}[pattern]
			},
		}
		if got := e.ours(); !slices.Equal(got, tc.ours) {
			t.Errorf("%s: ours = %q, want %q", tc.name, got, tc.ours)
		}
		if got := e.readable(); !slices.Equal(got, tc.readable) {
			t.Errorf("%s: readable = %q, want %q", tc.name, got, tc.readable)
		}
	}
}

func TestEveryDirectoryThatCannotBeHadIsNamed(t *testing.T) {
	t.Setenv("QUIVER_RUNTIME_DIR", "/proc/nowhere")
	_, err := Publish(t.Context(), func() Program { return Program{} }, nil)
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != "control: no runtime directory: mkdir /proc/nowhere: no such file or directory" {
		t.Errorf("Publish: %v", err)
	}
}
