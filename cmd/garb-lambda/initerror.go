package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// runtimeVariable has the address of Lambda's runtime API.
const runtimeVariable = "AWS_LAMBDA_RUNTIME_API"

// reportInit tells Lambda why the function cannot start, so that an invocation fails with that text.
func reportInit(address string, cause error) error {
	kind := "open_error"
	if errors.As(cause, new(*settingError)) {
		kind = "setting_error"
	}
	body, err := json.Marshal(map[string]string{"errorMessage": cause.Error(), "errorType": kind})
	if err != nil {
		return err
	}
	url := "http://" + address + "/2018-06-01/runtime/init/error"
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Lambda-Runtime-Function-Error-Type", kind)
	client := http.Client{Timeout: 5 * time.Second, Transport: new(http.Transport)} // without a proxy
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("the error could not be reported to Lambda: %w", err)
	}
	return answer.Body.Close()
}
