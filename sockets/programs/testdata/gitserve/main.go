// Gitserve serves the repositories below a directory over HTTP, by git's own CGI program.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"strings"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "`address`")
	root := flag.String("root", ".", "`directory` of the repositories")
	flag.Parse()
	where, err := exec.Command("git", "--exec-path").Output()
	check(err)
	ln, err := net.Listen("tcp", *listen)
	check(err)
	fmt.Println("listening on", ln.Addr())
	backend := &cgi.Handler{
		Path: strings.TrimSpace(string(where)) + "/git-http-backend",
		Env:  []string{"GIT_PROJECT_ROOT=" + *root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + os.Getenv("HOME")},
	}
	check(http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // a CGI program must be told the length, which chunks do not say
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		backend.ServeHTTP(w, r)
	})))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
