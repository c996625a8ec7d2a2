package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// s3Driver opens buckets of S3 and of services that speak its protocol.
type s3Driver struct{}

// noRegion is the region for services with an address of their own, such as MinIO: they ignore it,
// but the signature needs one.
const noRegion = "us-east-1"

// Open opens a bucket with the parameters of s3blob.URLOpener.
func (s3Driver) Open(ctx context.Context, u *url.URL, guard func(*http.Transport) http.RoundTripper) (
	*blob.Bucket, error) {
	opener := &s3blob.URLOpener{}
	first, err := opener.OpenBucketURL(ctx, u)
	if err != nil {
		return nil, err
	}
	defer first.Close()
	var client *s3.Client
	if !first.As(&client) {
		panic("store: a bucket of s3blob has no client")
	}
	options := client.Options()
	if options.Region == "" {
		if u.Query().Get("endpoint") == "" && options.BaseEndpoint == nil {
			return nil, errors.New("no region; set AWS_REGION or add ?region=REGION to the URL")
		}
		options.Region = noRegion
	}
	if options.Credentials != nil { // of an anonymous client there are none
		if _, err := options.Credentials.Retrieve(ctx); err != nil {
			return nil, &credentialsError{err}
		}
	}
	options.HTTPClient = newS3Client(options.HTTPClient, guard)
	options.DisableLogOutputChecksumValidationSkipped = true
	options.Logger = logging.Nop{}
	options.APIOptions = append(options.APIOptions, checkListings)
	return s3blob.OpenBucket(ctx, s3.New(options), u.Host, &opener.Options)
}

// newS3Client returns a client with the transport of another one, such as its certificates.
func newS3Client(from s3.HTTPClient, guard func(*http.Transport) http.RoundTripper) *http.Client {
	buildable, ok := from.(*awshttp.BuildableClient)
	if !ok {
		buildable = awshttp.NewBuildableClient()
	}
	transport := buildable.GetTransport()
	transport.MaxIdleConnsPerHost = maxIdleConnections
	return &http.Client{Transport: guard(transport), CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		switch r.Response.StatusCode {
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect: // to a new bucket's region
			return nil
		}
		return http.ErrUseLastResponse
	}}
}

// maxIdleConnections is the number of connections to a store that are kept. A worker reads a few
// pictures at a time.
const maxIdleConnections = 64

// checkListings makes answers that are no listing, or cut off, errors instead of the end of it.
func checkListings(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("garb.checkListings",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			middleware.InitializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleInitialize(ctx, in)
			list, ok := out.Result.(*s3.ListObjectsV2Output)
			switch {
			case err != nil || !ok:
			case list.Name == nil:
				err = fmt.Errorf("%w: it is no listing of a bucket", errInvalid)
			case aws.ToBool(list.IsTruncated) && aws.ToString(list.NextContinuationToken) == "":
				err = fmt.Errorf("%w: the listing says that it goes on, but not where", errInvalid)
			}
			return out, metadata, err
		}), middleware.Before)
}

// Once turns off the repetition of a request.
func (s3Driver) Once(as func(any) bool) {
	var options *[]func(*s3.Options)
	if as(&options) {
		*options = append(*options, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
	}
}

// Describe returns an object's key as it is stored, and its entity tag.
func (s3Driver) Describe(as func(any) bool) (key, version string) {
	var listed types.Object
	var head s3.HeadObjectOutput
	var read s3.GetObjectOutput
	switch {
	case as(&listed):
		return aws.ToString(listed.Key), strings.Trim(aws.ToString(listed.ETag), `"`)
	case as(&head):
		return "", strings.Trim(aws.ToString(head.ETag), `"`)
	case as(&read):
		return "", strings.Trim(aws.ToString(read.ETag), `"`)
	}
	return "", ""
}

// statuses has the HTTP statuses for S3's error codes that have another one.
var statuses = map[string]int{
	"RequestTimeTooSkewed": http.StatusServiceUnavailable, // the client corrects its clock
	"RequestTimeout":       http.StatusRequestTimeout,
	"ExpiredToken":         http.StatusForbidden,
	"InvalidToken":         http.StatusForbidden,
}

// Explain returns the status, and S3's code and message.
func (s3Driver) Explain(err error) (status int, cause error) {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		status = answer.HTTPStatusCode()
	}
	var api smithy.APIError
	var sending *smithyhttp.RequestSendError
	var reading *smithy.DeserializationError
	switch {
	case status == http.StatusMovedPermanently:
		return status, errors.New("the bucket is in another region; set AWS_REGION or add ?region=REGION to the URL")
	case errors.As(err, &reading):
		return status, fmt.Errorf("%w: %w", errInvalid, reading.Err)
	case errors.As(err, &api):
		if known, ok := statuses[api.ErrorCode()]; ok {
			status = known
		}
		text := api.ErrorCode()
		if api.ErrorMessage() != "" && api.ErrorMessage() != text {
			text += ": " + api.ErrorMessage()
		}
		return status, &shortError{text, err}
	case errors.As(err, &sending):
		return status, withoutAddress(sending.Err)
	}
	return status, nil
}

// Hint says where credentials come from.
func (s3Driver) Hint() string {
	return "credentials come from AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role; " +
		"a public bucket needs the parameter anonymous: s3://BUCKET?anonymous=true"
}
