// Command chromium lets the browser be a client of the interop runner in its HTTP/3 test.
//
//	chromium -program PATH -certs DIR -downloads DIR -logs DIR URL...
//
// A page fetches all URLs and puts their bytes, in base64, into its document, which the browser prints at the end. Status 127 means that
// TESTCASE is not supported.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

var errUsage = errors.New("usage: chromium -program PATH -certs DIR -downloads DIR -logs DIR URL...")

const timeout = 50 * time.Second // of a browser that hangs

func main() {
	err := run(os.Args[1:], os.Getenv("TESTCASE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "chromium: error:", err)
	}
	switch {
	case err == nil:
	case errors.Is(err, errors.ErrUnsupported):
		os.Exit(127)
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		os.Exit(1)
	}
}

func run(args []string, testcase string) error {
	flags := flag.NewFlagSet("chromium", flag.ContinueOnError)
	program := flags.String("program", "chromium", "the browser")
	certs := flags.String("certs", "/certs", "directory of cert.pem")
	downloads := flags.String("downloads", "/downloads", "directory to save to")
	logs := flags.String("logs", "/logs", "directory for logs")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	if testcase != "http3" {
		return fmt.Errorf("test case %q: %w", testcase, errors.ErrUnsupported)
	}
	if flags.NArg() == 0 {
		return errUsage
	}
	server, err := url.Parse(flags.Arg(0))
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "browser-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	page := filepath.Join(work, "page.html")
	if err := os.WriteFile(page, pageOf(flags.Args()), 0o644); err != nil {
		return err
	}
	options, err := optionsFor(server, filepath.Join(*certs, "cert.pem"))
	if err != nil {
		return err
	}
	options = append(options, "--user-data-dir="+filepath.Join(work, "profile"), "--log-net-log="+filepath.Join(*logs, "netlog.json"))
	if keys := os.Getenv("SSLKEYLOGFILE"); keys != "" {
		options = append(options, "--ssl-key-log-file="+keys)
	}
	document, err := print(*program, append(options, "--dump-dom", "file://"+page))
	if err != nil {
		return err
	}
	return save(document, flags.Args(), *downloads)
}

// print returns the document of the page that the arguments name, as it is once all is loaded.
func print(program string, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	return out.Bytes(), err
}

// optionsFor let the browser speak QUIC to the server from the first packet, and trust its certificate.
func optionsFor(server *url.URL, cert string) ([]string, error) {
	port := server.Port()
	if port == "" {
		port = "443"
	}
	pin, err := keyPin(cert)
	if err != nil {
		return nil, err
	}
	addrs, err := net.LookupHost(server.Hostname())
	if err != nil {
		return nil, err
	}
	address := addrs[0]
	if net.ParseIP(address).To4() == nil {
		address = "[" + address + "]"
	}
	return []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-domain-reliability", "--disable-breakpad", "--mute-audio",
		"--enable-quic", "--origin-to-force-quic-on=" + net.JoinHostPort(server.Hostname(), port),
		"--ignore-certificate-errors-spki-list=" + pin,
		"--host-resolver-rules=MAP " + server.Hostname() + " " + address,
		"--disable-web-security", // the page is no resource of the server
	}, nil
}

// keyPin returns the hash of the public key of the first certificate in a file, as the browser wants it.
func keyPin(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return "", fmt.Errorf("%s has no certificate", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// pageOf is a page that fetches the URLs before it counts as loaded, which is why it does so one after another and waits. What does not
// arrive gets no element.
func pageOf(urls []string) []byte {
	list, err := json.Marshal(urls)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return fmt.Appendf(nil, `<!doctype html><meta charset="utf-8"><body><script>
for (const [i, url] of %s.entries()) {
  const r = new XMLHttpRequest();
  r.open("GET", url, false);
  r.overrideMimeType("text/plain; charset=x-user-defined");
  try { r.send(); } catch (e) { console.error(String(e)); continue; }
  if (r.status !== 200) { console.error(url + ": status " + r.status); continue; }
  let s = "";
  for (let k = 0; k < r.responseText.length; k++) s += String.fromCharCode(r.responseText.charCodeAt(k) & 255);
  const e = document.createElement("pre");
  e.id = "file" + i;
  e.textContent = btoa(s);
  document.body.append(e);
}
</script>`, list)
}

var element = regexp.MustCompile(`<pre id="file(\d+)">([A-Za-z0-9+/=]*)</pre>`)

// save writes the files that the document holds. The error names those that it lacks.
func save(document []byte, urls []string, downloads string) error {
	got := map[string][]byte{}
	for _, m := range element.FindAllSubmatch(document, -1) {
		got[string(m[1])] = m[2]
	}
	var missing error
	for i, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return err
		}
		encoded, ok := got[fmt.Sprint(i)]
		if !ok {
			missing = errors.Join(missing, fmt.Errorf("%s did not arrive", text))
			continue
		}
		data, err := base64.StdEncoding.DecodeString(string(encoded))
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		if err := os.WriteFile(filepath.Join(downloads, filepath.Base(u.Path)), data, 0o644); err != nil {
			return err
		}
	}
	return missing
}
