package interop

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/seed51309289/quiver/interop/backend"
)

// An Exec says how to start an implementation without a container.
type Exec struct {
	Client   *Command `json:"client,omitempty"`
	Server   *Command `json:"server,omitempty"`
	Loopback *Exec    `json:"loopback,omitempty"` // the same for the loopback backend, where paths and ports are not the fixed ones
}

// A Command is one program: where it comes from and its arguments.
type Command struct {
	Install string            `json:"install,omitempty"` // Go package@version to build, or embedded:NAME of package peers; "" when run needs no {bin}
	Run     []string          `json:"run"`               // arguments with placeholders, see Placeholders
	Env     map[string]string `json:"env,omitempty"`     // more environment, same placeholders
}

// Placeholders lists what may stand in braces in "run" and "env", with its meaning.
func Placeholders() map[string]string {
	return map[string]string{
		"bin":       "the program built from \"install\"",
		"self":      "the quiver program",
		"requests":  "one argument per URL (client only, an argument of its own)",
		"listen":    "address to listen on, such as :443",
		"certs":     "directory of cert.pem, priv.key, ca.pem",
		"www":       "directory of the files to serve",
		"downloads": "directory to save to",
		"logs":      "directory for logs",
		"qlog":      "directory for qlogs, with a slash at the end",
	}
}

// command returns the program for role on the named backend, or an error that says which member is missing.
func (i *Implementation) command(kind, role string) (*Command, error) {
	e, member := i.Exec, `"exec"`
	if e != nil && kind == "loopback" {
		e, member = e.Loopback, `"exec.loopback"`
	}
	if e == nil {
		return nil, fmt.Errorf("no exec for backend %s: the registry entry has no %s member", kind, member)
	}
	c := e.Client
	if role == RoleServer {
		c = e.Server
	}
	if c == nil {
		return nil, fmt.Errorf("no exec for backend %s: %s has no %q", kind, member, role)
	}
	return c, nil
}

func (e *Exec) check() error {
	if e == nil {
		return nil
	}
	if e.Client == nil && e.Server == nil && e.Loopback == nil {
		return errors.New(`"exec" has neither "client" nor "server"`)
	}
	for role, c := range map[string]*Command{RoleClient: e.Client, RoleServer: e.Server} {
		if err := c.check(); err != nil {
			return fmt.Errorf("exec.%s: %w", role, err)
		}
	}
	if err := e.Loopback.check(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

var placeholder = regexp.MustCompile(`\{([a-z]+)\}`)

func (c *Command) check() error {
	if c == nil {
		return nil
	}
	if len(c.Run) == 0 || c.Run[0] == "" {
		return errors.New(`no "run", want a list such as ["{bin}", "{requests}"]`)
	}
	known := Placeholders()
	for _, s := range append(slices.Collect(maps.Values(c.Env)), c.Run...) {
		for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
			if known[m[1]] == "" {
				return fmt.Errorf("unknown placeholder %s in %q; known are: {%s}", m[0], s,
					strings.Join(slices.Sorted(maps.Keys(known)), "} {"))
			}
			if m[1] == "requests" && s != "{requests}" {
				return fmt.Errorf("{requests} inside %q, want it as an argument of its own", s)
			}
		}
	}
	if c.Install == "" && slices.Contains(c.Run, "{bin}") {
		return errors.New(`{bin} without "install"`)
	}
	return nil
}

// values are what the placeholders stand for, for one program of one job.
type values struct {
	bin, self string
	places    backend.Places
	requests  []string
}

func (v *values) fill(s string) string {
	p := &v.places
	return strings.NewReplacer("{bin}", v.bin, "{self}", v.self, "{listen}", p.Listen, "{certs}", p.Certs, "{www}", p.WWW,
		"{downloads}", p.Downloads, "{logs}", p.Logs, "{qlog}", p.QLog).Replace(s)
}

// argv returns the arguments of c with the placeholders filled in.
func (c *Command) argv(v *values) []string {
	var argv []string
	for _, s := range c.Run {
		if s == "{requests}" {
			argv = append(argv, v.requests...)
			continue
		}
		argv = append(argv, v.fill(s))
	}
	return argv
}
