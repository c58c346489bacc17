# sf2f-bench for a lab machine: docker build -t sf2f-bench . && docker run --rm sf2f-bench doctor
# With a GPU: docker compose run --rm gpu run hq-voxceleb-64 --root /data --budget paper --precision bf16
FROM python:3.12-slim

ENV PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    SF2F_BENCH_WEIGHTS=/weights

COPY . /src
RUN pip install "/src[clip,cluster,dlib]" && rm -rf /src/build

# Records and the cache are written here: mount a folder of yours.
WORKDIR /work
ENTRYPOINT ["sf2f-bench"]
CMD ["--help"]
