# Web server and worker in one container: docker build -t groundplan . && docker run -p 8501:8501 -v groundplan:/data groundplan
FROM python:3.11-slim-bookworm
# rasterio's wheel needs libexpat, which the slim image lacks.
RUN apt-get update && apt-get install -y --no-install-recommends libexpat1 && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir uv==0.13.9 && useradd --create-home --uid 1000 groundplan \
 && mkdir /data && chown groundplan /data
WORKDIR /app
COPY requirements.txt .
RUN uv pip install --system --no-cache --compile-bytecode --require-hashes -r requirements.txt
COPY --chown=groundplan . .
USER groundplan
# GDAL reads only the file it is given: no sidecar files, no VRT, no network address.
ENV GROUNDPLAN_DATA=/data \
    GDAL_DISABLE_READDIR_ON_OPEN=EMPTY_DIR \
    GDAL_SKIP="VRT OGR_VRT" \
    CPL_VSIL_CURL_ALLOWED_EXTENSIONS=none \
    PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8501
HEALTHCHECK --start-period=90s CMD python -c "import urllib.request as u; u.urlopen('http://localhost:8501/_stcore/health')"
CMD ["python", "-m", "core", "app", "--host", "0.0.0.0"]
