//! Three release managers of two units, who work with `sekisho-baseline` on one directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use manifests::durable::{self, PRIVATE};

use crate::operator::{Controller, text};
use crate::trees::{Masters, Release};
use crate::world::{Output, World};

const PROGRAM: &str = "sekisho-baseline";
/// Who they are: the name of the role, and the unit.
const SIGNERS: [(&str, &str, &str); 3] = [
    ("development", "release manager, development", "development"),
    ("quality", "release manager, quality", "quality assurance"),
    ("operations", "release manager, operations", "operations"),
];

/// The release managers, their keys and their directory.
pub struct Managers {
    world: Arc<World>,
    directory: PathBuf,
    keys: PathBuf,
}

impl Managers {
    /// Makes three keys, and the first root for controllers whose `controller.json` are named.
    ///
    /// # Errors
    /// If the program refuses.
    pub async fn new(world: &Arc<World>, product: &str, controllers: &[PathBuf]) -> Result<Self> {
        let managers =
            Self { world: Arc::clone(world), directory: world.path().join("release"), keys: world.path().join("keys") };
        fs::create_dir(&managers.keys)?;
        let mut args =
            vec!["init".to_owned(), text(&managers.directory)?.to_owned(), "--product".to_owned(), product.to_owned()];
        for (signer, name, unit) in SIGNERS {
            let passphrase = format!("only a demo: {signer}\n");
            durable::replace(&managers.passphrase(signer), passphrase.as_bytes(), PRIVATE)?;
            let (key, passphrase) = (managers.key(signer), managers.passphrase(signer));
            world.run(PROGRAM, &["keygen", text(&key)?, "--passphrase-file", text(&passphrase)?]).await?;
            args.extend(["--signer".to_owned(), format!("{name};{unit};{}.pub", text(&key)?)]);
        }
        for controller in controllers {
            args.extend(["--controller".to_owned(), text(controller)?.to_owned()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        world.run(PROGRAM, &args).await?;
        Ok(managers)
    }

    /// The first root: what agents and controllers are installed with.
    pub fn first_root(&self) -> PathBuf {
        self.directory.join("metadata/1.root.json")
    }

    /// Their directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Changes one file of the directory by hand.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn edit(&self, name: &str, change: impl FnOnce(String) -> String) -> Result<()> {
        let path = self.directory.join(name);
        let before = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::write(&path, change(before)).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Adds a release to the baseline by looking at its files.
    ///
    /// # Errors
    /// If the program refuses.
    pub async fn capture(&self, masters: &Masters, release: Release) -> Result<()> {
        let (root, agent) = (masters.root(release), self.world.program("sekisho-agent"));
        let mut args = vec!["capture", text(&root)?, "--agent", text(&agent)?, "--dir", text(&self.directory)?];
        args.extend(["--program", release.program(), "--version", release.version()]);
        if let Some(variant) = release.variant() {
            args.extend(["--variant", variant]);
        }
        self.world.run(PROGRAM, &args).await.map(|_| ())
    }

    /// Signs what lacks the signature of one of them: `development`, `quality` or `operations`.
    ///
    /// # Errors
    /// If the program refuses.
    pub async fn sign(&self, signer: &str) -> Result<()> {
        let (key, passphrase) = (self.key(signer), self.passphrase(signer));
        let args = ["sign", text(&self.directory)?, "--key", text(&key)?, "--passphrase-file", text(&passphrase)?];
        self.world.run(PROGRAM, &args).await.map(|_| ())
    }

    /// Signs with two of three, of two units.
    ///
    /// # Errors
    /// If the program refuses.
    pub async fn sign_by_two(&self) -> Result<()> {
        self.sign("development").await?;
        self.sign("quality").await
    }

    /// Asks whom what is in the directory would hold.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub async fn try_preview(&self, controller: &Controller) -> Result<Output> {
        let (url, ca) = (controller.url(), controller.ca());
        let args = ["preview", text(&self.directory)?, "--controller", &url, "--ca", text(&ca)?];
        let args = [&args[..], &["--token-file", text(controller.token_file())?]].concat();
        self.world.output(PROGRAM, &args).await
    }

    /// Publishes, and says what came of it.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub async fn try_publish(&self, controller: &Controller) -> Result<Output> {
        let (url, ca) = (controller.url(), controller.ca());
        let args = ["publish", text(&self.directory)?, "--controller", &url, "--ca", text(&ca)?];
        let args = [&args[..], &["--token-file", text(controller.token_file())?]].concat();
        self.world.output(PROGRAM, &args).await
    }

    /// Publishes to several controllers in one command, and says what came of it.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub async fn try_publish_to(&self, controllers: &[&Controller]) -> Result<Output> {
        let mut args = vec!["publish".to_owned(), text(&self.directory)?.to_owned()];
        for controller in controllers {
            let files = [("--ca", controller.ca()), ("--token-file", controller.token_file().to_owned())];
            args.extend(["--controller".to_owned(), controller.url()]);
            for (option, file) in files {
                args.extend([option.to_owned(), text(&file)?.to_owned()]);
            }
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.world.output(PROGRAM, &args).await
    }

    /// Publishes.
    ///
    /// # Errors
    /// If the controller refuses.
    pub async fn publish(&self, controller: &Controller) -> Result<()> {
        let output = self.try_publish(controller).await?;
        if !output.success() {
            bail!("publish: {}\n{}{}", output.status, output.stdout, output.stderr);
        }
        Ok(())
    }

    /// Drafts a lift of `stop` (`sha256:…`) for `sites`.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub async fn try_lift(&self, controller: &Controller, stop: &str, sites: &[&str], reason: &str) -> Result<Output> {
        let (url, ca) = (controller.url(), controller.ca());
        let mut args = vec!["lift", text(&self.directory)?, "--stop", stop, "--reason", reason];
        for site in sites {
            args.extend(["--site", site]);
        }
        args.extend(["--controller", &url, "--ca", text(&ca)?, "--token-file", text(controller.token_file())?]);
        self.world.output(PROGRAM, &args).await
    }

    fn key(&self, signer: &str) -> PathBuf {
        self.keys.join(format!("{signer}.pem"))
    }

    fn passphrase(&self, signer: &str) -> PathBuf {
        self.keys.join(format!("{signer}.passphrase"))
    }
}
