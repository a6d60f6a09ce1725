# Flotilla as a container. Node 20.19 is the floor of the package; the image takes the long-term release.
#
#   docker build -t flotilla .
#   docker run -p 127.0.0.1:3000:3000 -v flotilla:/data flotilla --host 0.0.0.0 --advertise localhost:3000 --insecure

FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --include=dev --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
COPY cli cli
RUN node scripts/build.mjs

FROM node:24-bookworm-slim AS packages
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    FLOTILLA_SERVER_DATA_DIR=/data
WORKDIR /opt/flotilla
COPY --from=packages /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json LICENSE ./
COPY cli/flotilla.cjs cli/
COPY proto proto
# A new volume takes its owner from the folder that it covers.
RUN ln -s "/opt/flotilla/$(node -p 'require("./package.json").bin.flotilla')" /usr/local/bin/flotilla \
    && mkdir -m 0700 /data \
    && chown node:node /data
USER node
VOLUME /data
EXPOSE 3000 4000
STOPSIGNAL SIGTERM
# Alive, not ready: a node that waits for its peers must not be restarted for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.FLOTILLA_SERVER_HTTP_PORT || 4000}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["flotilla"]
