/**
 * Loaded into a node before its own code (`node --require`): at SIGUSR2 its main
 * thread stands still in the way that STAND_STILL names: for good, but for the
 * last one, which says that it begins, and takes a second of processor time.
 */
const { pbkdf2Sync } = require('node:crypto');
const { writeSync } = require('node:fs');

const WAYS = {
  JavaScript: function loopForEver() {
    for (let turn = 0; ; turn++) if (turn < 0) return;
  },
  promises: function turnMicrotasksForEver() {
    void Promise.resolve().then(turnMicrotasksForEver);
  },
  waiting: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  // V8 can interrupt what it does itself, but no other library.
  native: () => pbkdf2Sync('', '', 2 ** 31 - 1, 64, 'sha512'),
  briefly: () => {
    writeSync(1, 'stands still\n');
    const begin = process.cpuUsage();
    const takenMs = () => (process.cpuUsage(begin).user + process.cpuUsage(begin).system) / 1000;
    while (takenMs() < 1000);
  },
};

process.on('SIGUSR2', WAYS[process.env.STAND_STILL]);
