// Package interop runs QUIC implementations against each other and publishes the matrix.
//
// A [Registry] names the implementations, a [Case] says what one test is, a [Plan] is the list of (client, server, test)
// jobs of one run, and [Run] takes the jobs through a backend and a judge, several at a time. The [Store] writes each
// result the moment it is known; result.json and index.html are written at the end of the run, also of an interrupted one.
//
// Formats, names, directory layout and verdict rules are those of the QUIC interop runner, so that its registry files,
// result files and web page keep working. Three things differ, and always in the open:
//
//   - A failed cell stays failed. The rule that turns "failed against every peer" into "unsupported" only adds a hint
//     ("auto_unsupported") to the cell.
//   - The exit status is 0, 1 or 2, never the number of failures.
//   - An unsupported cell keeps its output.txt; traces and logs are dropped.
//
// # Limitations
//
// Measurements, the webtransport protocol, the strict profile and the docker backend are known by name and refused with a
// sentence that says so.
package interop
