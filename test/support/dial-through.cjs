/**
 * Loaded into a node before its own code (`node --require`): a connection to one
 * of the ports in DIAL_THROUGH goes to the port that is given there instead. All
 * nodes are told the same address of a member, and so only this lets each of
 * them dial it through a proxy of its own.
 */
const { Socket } = require('node:net');

/** @type {Record<string, number>} */
const through = JSON.parse(process.env.DIAL_THROUGH ?? '{}');
const { connect } = Socket.prototype;

Socket.prototype.connect = function connectThrough(...args) {
  // Both `socket.connect(options)` and what net.connect() hands on: a list that begins with the options.
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  const port = through[String(options?.port)];
  if (port !== undefined) options.port = port;
  return connect.apply(this, args);
};
