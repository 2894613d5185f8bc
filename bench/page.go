package main

import (
	"context"
	"io"
	"net/http"
)

// maxPageBytes bounds what is read of a page: the largest is that of metrics.
const maxPageBytes = 16 << 20

// askForPage asks for a page by a method, and returns with which status it was answered, and what is on it.
func askForPage(ctx context.Context, method, url string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxPageBytes))
	return answer.StatusCode, body, err
}
