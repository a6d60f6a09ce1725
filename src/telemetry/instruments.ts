import { Counter as PromCounter, Gauge as PromGauge, Histogram as PromHistogram, type Registry } from 'prom-client';

/** Only grows; `inc()` counts one. */
export interface Counter {
  inc(value?: number): void;
}

/** A counter for each value of its labels, all of closed sets. */
export interface LabelledCounter<Labels extends Record<string, string>> {
  inc(labels: Labels, value?: number): void;
}

export interface Gauge {
  set(value: number): void;
  inc(value?: number): void;
  dec(value?: number): void;
}

/** A gauge for each peer, by actor id. */
export interface PeerGauge {
  set(labels: { readonly peer: number }, value: number): void;
  /** Forgets every peer: one that left, or that only a leader measures, must not stand there for ever. */
  reset(): void;
}

/** One of a closed set of states: its gauge is 1, the others' are 0. */
export interface StateGauge<State extends string> {
  set(state: State): void;
}

export interface PeerStateGauge<State extends string> {
  set(labels: { readonly peer: number }, state: State): void;
  reset(): void;
}

export interface Histogram {
  observe(value: number): void;
}

/** Makes the metrics of one registry. Everything of a closed set is there from the start, at 0. */
export interface Instruments {
  counter(name: string, help: string): Counter;
  counterBy<Label extends string, Value extends string>(
    name: string,
    help: string,
    label: Label,
    values: readonly Value[],
  ): LabelledCounter<Record<Label, Value>>;
  gauge(name: string, help: string): Gauge;
  gaugeByPeer(name: string, help: string): PeerGauge;
  state<State extends string>(name: string, help: string, label: string, states: readonly State[]): StateGauge<State>;
  stateByPeer<State extends string>(name: string, help: string, states: readonly State[]): PeerStateGauge<State>;
  /** `buckets`: upper bounds, ascending, in the metric's unit. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram;
}

export function instrumentsOf(registry: Registry): Instruments {
  const registers = [registry];
  return {
    counter: (name, help) => new PromCounter({ name, help, registers }),
    counterBy: (name, help, label, values) => {
      const counter = new PromCounter({ name, help, registers, labelNames: [label] });
      for (const value of values) counter.labels(value).inc(0);
      return counter;
    },
    gauge: (name, help) => new PromGauge({ name, help, registers }),
    gaugeByPeer: (name, help) => new PromGauge({ name, help, registers, labelNames: ['peer'] }),
    state: (name, help, label, states) => {
      const gauge = new PromGauge({ name, help, registers, labelNames: [label] });
      for (const state of states) gauge.labels(state).set(0);
      return {
        set: (current) => {
          for (const state of states) gauge.labels(state).set(state === current ? 1 : 0);
        },
      };
    },
    stateByPeer: (name, help, states) => {
      const gauge = new PromGauge({ name, help, registers, labelNames: ['peer', 'state'] });
      return {
        set: ({ peer }, current) => {
          for (const state of states) gauge.set({ peer, state }, state === current ? 1 : 0);
        },
        reset: () => gauge.reset(),
      };
    },
    histogram: (name, help, buckets) => new PromHistogram({ name, help, registers, buckets: [...buckets] }),
  };
}
