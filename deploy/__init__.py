"""Everything needed to run Plimsoll somewhere. Stands outside the applications: nothing in them may import it, save
`web.settings`, which asks `deploy.run.environment` where the running installation is."""
