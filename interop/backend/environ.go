package backend

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// withDefaults returns a copy of env with PATH and HOME added where it lacks them.
func withDefaults(env []string, path, home string) []string {
	env = append([]string(nil), env...)
	if !hasKey(env, "PATH") {
		env = append(env, "PATH="+path)
	}
	if !hasKey(env, "HOME") {
		env = append(env, "HOME="+home)
	}
	return env
}

func hasKey(env []string, key string) bool {
	for _, kv := range env {
		if strings.HasPrefix(kv, key+"=") {
			return true
		}
	}
	return false
}

// findPrograms replaces names of programs by their paths, so that a missing one is an error that says so.
func findPrograms(programs ...*Program) error {
	for _, p := range programs {
		if len(p.Argv) == 0 {
			return fmt.Errorf("%s: no program", p.Name)
		}
		path, err := exec.LookPath(p.Argv[0])
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		if path, err = filepath.Abs(path); err != nil {
			return err
		}
		p.Argv = append([]string{path}, p.Argv[1:]...)
	}
	return nil
}
