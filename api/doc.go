// Package api is wattmark over HTTP: marks, windows, readings, health. docs/api.md describes it for users.
//
// A handler parses, asks the packages below, and answers; [problemOf] alone turns errors into status codes.
package api
