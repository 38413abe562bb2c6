// Package programs tries the socket layer with real programs: servers and clients that know only TCP sockets, as the distribution
// ships them, and small ones in Go, Java, JavaScript and Python.
//
// It has no code of its own but tests. A program is a row of the table (cases_*_linux_test.go): a script that starts a server, one
// that is the client, and what both must have said and left behind. An arrangement is a column: which end is supervised by
// `quiver run`, in which polarity, which end is plain and stands behind `quiver gateway`, and as which user. The first column is
// plain TCP, which proves the row itself. What came of it is the table of docs/programs.md.
//
//	go test ./sockets/programs                                   two quick rows
//	QUIVER_PROGRAMS=1 go test -parallel 4 ./sockets/programs     all rows in all arrangements
//	QUIVER_PROGRAMS=1 go test -parallel 4 ./sockets/programs -update     and writes docs/programs.md from what was seen
//
// In each arrangement but those of plain TCP, packet sockets on loopback count what passed meanwhile: bytes on the UDP port of
// the run, and no payload in TCP segments on the ports that the programs named.
package programs
