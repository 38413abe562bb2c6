package backend

import "strings"

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
