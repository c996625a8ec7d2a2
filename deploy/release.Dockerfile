# The image of a release. goreleaser puts the binary of each platform beside this file; nothing is
# run on the platform itself. deploy/Dockerfile builds the same image from the sources.
FROM --platform=$BUILDPLATFORM golang:1.26 AS certificates

FROM scratch
ARG TARGETPLATFORM
# For pictures by URL and for traces over https.
COPY --from=certificates /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY $TARGETPLATFORM/garb /garb
COPY LICENSE NOTICE /
USER 65532:65532
# A variable instead of an argument, because serve and health both read it.
ENV GARB_ADDR=:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/garb", "health"]
ENTRYPOINT ["/garb"]
CMD ["serve"]
