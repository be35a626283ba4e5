// Several videos on one clock: one that is heard leads; the others are kept within a frame of it.
"use strict";

const FRAME = 1 / FPS;

class SyncPlayer {
  /** `changed(player)` is called whenever the frame or the state changes. */
  constructor(changed) {
    this.changed = changed;
    this.videos = [];
    this.frames = 0;
    this.frame = 0; // the one shown, or the last one seen while playing
    this.playing = false;
    this.loop = false;
    this.rate = 1;
    this.turn = 0; // counts commands, so that what an older one waited for comes to nothing
  }

  /** The video whose clock counts: one that is heard, because sound must not be bent. */
  get lead() {
    return this.videos.find((video) => !video.muted) || this.videos[0];
  }

  /** Other videos (elements), `frames` long, at the same frame as before. */
  async load(videos, frames) {
    const resume = this.playing;
    this.stop();
    for (const video of this.videos) {
      video.removeAttribute("src");
      video.load(); // lets its decoder go
    }
    this.videos = videos;
    this.frames = frames;
    for (const video of videos) watch(video);
    await this.seek(this.frame);
    if (resume) await this.play();
  }

  stop() {
    this.turn += 1;
    this.playing = false;
    for (const video of this.videos) video.pause();
  }

  /** Pause, all on the same frame. */
  async pause() {
    this.stop();
    await this.seek(this.frame);
  }

  /** Show frame `number` in every video; the middle of its time, so that no rounding shows another one. */
  async seek(number) {
    const turn = ++this.turn;
    this.frame = Math.max(0, Math.min(number, this.frames - 1));
    this.changed(this);
    await Promise.all(this.videos.map((video) => settled(video, (this.frame + 0.5) * FRAME)));
    return turn === this.turn;
  }

  async step(by) {
    this.stop();
    await this.seek(this.frame + by);
  }

  async play() {
    if (!this.videos.length || this.playing) return;
    if (!(await this.seek(this.frame >= this.frames - 1 ? 0 : this.frame))) return;
    this.playing = true;
    const turn = this.turn;
    for (const video of this.videos) video.playbackRate = this.rate;
    const started = await Promise.allSettled(this.videos.map((video) => video.play()));
    if (turn !== this.turn) return;
    const failed = started[this.videos.indexOf(this.lead)];
    if (failed.status === "rejected") {
      this.stop();
      throw failed.reason;
    }
    this.changed(this);
    requestAnimationFrame(() => this.tick(turn));
  }

  tick(turn) {
    if (turn !== this.turn || !this.playing) return;
    const { lead } = this;
    const time = lead.currentTime;
    const frame = Math.min(Math.floor(time * FPS + 1e-3), this.frames - 1);
    if (lead.ended || time >= this.frames * FRAME - FRAME / 2) {
      this.finish();
      return;
    }
    if (lead.playbackRate !== this.rate) lead.playbackRate = this.rate;
    for (const video of this.videos) if (video !== lead) this.follow(video, time);
    if (frame !== this.frame) {
      this.frame = frame;
      this.changed(this);
    }
    requestAnimationFrame(() => this.tick(turn));
  }

  /** A little faster or slower while a video is near; a jump where it is not. */
  follow(video, time) {
    if (video.seeking || video.ended || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    const ahead = video.currentTime - time;
    let rate = this.rate;
    if (Math.abs(ahead) > 3 * FRAME) video.currentTime = time + FRAME * this.rate; // a jump takes about a frame
    else if (Math.abs(ahead) > FRAME / 8) {
      const most = video.muted ? 0.5 : 0.1;
      rate *= 1 - Math.max(-most, Math.min(most, 5 * ahead));
    }
    if (video.playbackRate !== rate) video.playbackRate = rate;
    if (video.paused) video.play().catch(() => {});
  }

  async finish() {
    this.stop();
    if (await this.seek(this.loop ? 0 : this.frames - 1)) {
      if (this.loop) await this.play();
    }
  }

  setRate(rate) {
    this.rate = rate;
    for (const video of this.videos) video.playbackRate = rate;
  }

  /** Sound of these videos only. */
  setSound(audible) {
    for (const video of this.videos) video.muted = !audible.includes(video);
  }
}

/**
 * Asks for every picture of `video`. A busy Chromium that nobody asks now and then leaves, after a pause and a seek
 * back, a later picture on the screen for good.
 */
function watch(video) {
  const next = () => video.requestVideoFrameCallback?.(next);
  next();
}

/** Resolves when `video` shows what lies at `time`; also when it cannot, so that one bad file stops nothing. */
function settled(video, time) {
  return new Promise((resolve) => {
    const events = ["seeked", "error", "emptied", "abort"];
    const done = () => {
      clearTimeout(limit);
      for (const name of events) video.removeEventListener(name, done);
      resolve();
    };
    const limit = setTimeout(done, 4000);
    for (const name of events) video.addEventListener(name, done);
    const go = () => {
      const wanted = Math.min(time, Number.isFinite(video.duration) ? Math.max(0, video.duration - 1e-3) : time);
      if (Math.abs(video.currentTime - wanted) < 1e-4 && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !video.seeking) done();
      else video.currentTime = wanted;
    };
    if (video.readyState >= HTMLMediaElement.HAVE_METADATA) go();
    else video.addEventListener("loadedmetadata", go, { once: true });
  });
}
