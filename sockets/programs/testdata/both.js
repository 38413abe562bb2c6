// A web server and its client, by Node's standard library.
'use strict';
const http = require('node:http');
const net = require('node:net');
const crypto = require('node:crypto');
const assert = require('node:assert');

const [role] = process.argv.slice(2);
const { HOST, PORT, CLOSED, AT } = process.env;

function server() {
  http.createServer((request, response) => {
    const hash = crypto.createHash('sha256');
    request.on('data', (part) => hash.update(part));
    request.on('end', () => response.end(`${request.method} ${request.url} ${hash.digest('hex')}`));
  }).listen(Number(PORT), HOST, () => console.log('listening'));
}

async function client() {
  const body = crypto.randomBytes(4 << 20);
  const want = crypto.createHash('sha256').update(body).digest('hex');
  const posted = await fetch(`http://${AT}/post`, { method: 'POST', body });
  assert.equal(await posted.text(), `POST /post ${want}`);

  const empty = crypto.createHash('sha256').digest('hex');
  const answers = await Promise.all(Array.from({ length: 100 }, async (_, i) => (await fetch(`http://${AT}/${i}`)).text()));
  answers.forEach((answer, i) => assert.equal(answer, `GET /${i} ${empty}`));

  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 20; i++) {
    await new Promise((done, fail) => http.get({ host: HOST, port: PORT, path: `/${i}`, agent }, (r) => r.resume().on('end', done)).on('error', fail));
  }
  agent.destroy();

  const refused = await new Promise((done) => net.connect({ host: HOST, port: Number(CLOSED) }).on('error', (e) => done(e.code)).on('connect', () => done('connected')));
  assert.equal(refused, 'ECONNREFUSED');
  console.log('all as it must be');
}

role === 'server' ? server() : client().catch((e) => { console.error(e); process.exit(1); });
