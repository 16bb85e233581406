package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"wattmark/api"
	"wattmark/metrics"
	"wattmark/sampler"
	"wattmark/tokens"
)

// tokensFlags say where an inference server counts its tokens.
type tokensFlags struct {
	TokensFrom   []string `sep:"," placeholder:"URL" help:"Metrics page of the inference server, such as http://127.0.0.1:8000/metrics: vLLM, SGLang, TensorRT-LLM, TGI or llama.cpp. Repeat for several; their tokens are added up."`
	TokensMetric []string `sep:"," placeholder:"KIND=NAME" help:"Metrics of another server: output=NAME, and where it has them input=NAME and requests=NAME."`
}

// names are those of --tokens-metric; nil: they are found out.
func (f tokensFlags) names() (*tokens.Names, error) {
	if len(f.TokensMetric) == 0 {
		return nil, nil
	}
	names := &tokens.Names{Engine: "custom"}
	for _, entry := range f.TokensMetric {
		kind, name, _ := strings.Cut(entry, "=")
		to, ok := map[string]*string{"input": &names.Input, "output": &names.Output, "requests": &names.Requests}[kind]
		if !ok || name == "" || strings.ContainsAny(name, "{} \t\"#") || *to != "" {
			return nil, fmt.Errorf("--tokens-metric %q: want output=NAME, input=NAME or requests=NAME, each once", entry)
		}
		*to = name
	}
	if names.Output == "" {
		return nil, fmt.Errorf("--tokens-metric needs output=NAME")
	}
	return names, nil
}

// checkTokens says what is wrong with the flags.
func (f tokensFlags) checkTokens() error {
	names, err := f.names()
	switch {
	case err != nil:
		return err
	case names != nil && len(f.TokensFrom) == 0:
		return fmt.Errorf("--tokens-metric needs --tokens-from")
	case len(f.TokensFrom) == 0:
		return nil
	}
	if _, err := tokens.New(tokens.Config{URLs: f.TokensFrom}); err != nil {
		return fmt.Errorf("--tokens-from: %w", err)
	}
	return nil
}

// readTokens reads the inference server's counts until ctx ends; nil without --tokens-from.
func (f tokensFlags) readTokens(ctx context.Context, interval, retention time.Duration, clock sampler.Clock, log *slog.Logger) (*tokens.Reader, error) {
	if len(f.TokensFrom) == 0 {
		return nil, nil
	}
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	reader, err := tokens.New(tokens.Config{
		URLs: f.TokensFrom, Names: names, Interval: max(interval, time.Second/4), Retention: retention, Clock: clock, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	go func() { _ = reader.Run(ctx) }()
	return reader, nil
}

// showTokens adds the tokens to the metrics.
func showTokens(m *metrics.Metrics, server *api.Server, reader *tokens.Reader) {
	if reader == nil {
		return
	}
	m.Serving(func() metrics.Serving {
		live := server.Live()
		return metrics.Serving{
			Engine: live.Engine, Up: live.Up, InputPerSecond: live.InputPerSecond, OutputPerSecond: live.OutputPerSecond,
			PerOutputToken: live.PerOutputToken, PerTotalToken: live.PerTotalToken,
		}
	})
}
