export { HttpServer, type HttpServerOptions, type Readiness } from './http-server.js';
