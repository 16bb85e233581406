// Package check holds what is written down in deploy/ to the tools that will read it: Docker's own build checks and
// Compose's own loader, as libraries, for neither needs an engine. It is a module of its own: nothing here is linked
// into wattmark.
package check
