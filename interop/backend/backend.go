package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed51309289/quiver/netsim"
)

// Client and Server are the roles of a program.
const (
	Client = "client"
	Server = "server"
)

// A Program is one endpoint: what to execute and its whole environment. The backend adds PATH and HOME where Env lacks them.
type Program struct {
	Name string   // of the implementation, for messages
	Argv []string // Argv[0] is a path or a name to find in PATH
	Env  []string // K=V
}

// A Job is one run of a client against a server. It is not changed by running; one Job serves for one run.
type Job struct {
	Dir            string        // of the logs; client/, server/ and sim/ are made below it
	Scenario       string        // as netsim.ParseScenario takes it
	Seed           uint64        // of the simulator
	Timeout        time.Duration // for everything from the start of the server on; 0 means one minute
	Client, Server Program
	WWW            string // directory that the server serves
	Downloads      string // directory that the client saves to
	Certs          string // directory of cert.pem, priv.key, ca.pem
	WaitForServer  bool   // start the client only when the server answers an unknown version
	CrossTraffic   bool   // a TCP flow with CUBIC from the server's side to the client's competes; netns only

	ports *ports // of the loopback backend, once it has chosen them
}

// An Exit is how a program ended.
type Exit struct {
	Code     int  // exit status; -1 if it never started or died of a signal
	Signaled bool // died of a signal
	Started  bool
}

// String returns the exit in words, such as "exit status 1".
func (e Exit) String() string {
	switch {
	case !e.Started:
		return "not started"
	case e.Signaled:
		return "killed by a signal"
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// An Outcome is what happened in a job. Whether the test passed is for others to judge.
type Outcome struct {
	Client, Server Exit
	TimedOut       bool          // the deadline passed and everything was killed
	Duration       time.Duration // of the whole run
	Sim            netsim.Stats
	Err            error // the run itself went wrong: ErrNotReady, the context's error, or the machine's fault
}

// ErrNotReady says that the server did not answer the readiness probe in time, or answered something else than Version Negotiation.
// An Outcome's Err that wraps it is the server's fault, not the machine's.
var ErrNotReady = errors.New("server is not ready")

// ErrNeedsNamespaces says that a backend without namespaces cannot make the world of a job.
var ErrNeedsNamespaces = errors.New("the loopback backend has no network of its own; --backend netns has")

// A Backend makes worlds for jobs. It is safe for concurrent use by several jobs.
type Backend interface {
	// Name returns "netns" or "loopback".
	Name() string
	// Places returns what role of j finds where. It makes no directory. Fields of j that name directories must be set; on the loopback
	// backend the first call for a Job chooses its ports.
	Places(j *Job, role string) (Places, error)
	// Run runs j to its end. It writes what the programs say to log, a line at a time, as it comes: a time, the role and the text.
	// Writes to log do not overlap. When ctx ends, all of the job is killed.
	Run(ctx context.Context, j *Job, log io.Writer) Outcome
	// Compliance runs p alone and returns how it ended. It gives up when ctx ends, with its error. On the netns backend the directories
	// of Places exist and /certs is filled; on the loopback backend the caller has made those that Argv and Env name.
	Compliance(ctx context.Context, role string, p Program, log io.Writer) (Exit, error)
}

// Places is what the placeholders of a registry entry stand for, for one role of one job.
type Places struct {
	Listen    string                   // where the server listens, such as ":443"
	Authority func(host string) string // what a URL names for host: "server4" becomes "server4:443" or "127.0.0.1:41234"

	Certs, WWW, Downloads, Logs string // directories
	QLog                        string // directory, with a slash at the end
}

// Pick returns the backend of that name: "netns", "loopback", or "auto" for the first of them that this machine allows. For "auto" that
// had to take the loopback, why says in one sentence what is in the way; otherwise it is empty. The test whether namespaces can be made
// runs once in a process.
func Pick(name string) (b Backend, why string, err error) {
	switch name {
	case "loopback":
		return &loopback{}, "", nil
	case "netns":
		if b, why = netns(); why != "" {
			return nil, "", fmt.Errorf("backend netns: %s; --backend loopback needs no namespaces", why)
		}
		return b, "", nil
	case "auto", "":
		if b, why = netns(); why != "" {
			b = &loopback{}
		}
		return b, why, nil
	}
	return nil, "", fmt.Errorf("no backend %q, there are auto, netns and loopback", name)
}
